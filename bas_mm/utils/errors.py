"""Errors in one line, with the nearest right name."""

import difflib
import inspect
import re
from collections.abc import Iterable, Iterator
from typing import Any

from mmengine.registry import OPTIMIZERS

from bas_mm.utils.overrides import arguments

#: Errors that a wrong input or setting causes as a rule.
PLAIN = (ValueError, OSError, ImportError)
#: What is longer is cut: the rest is in the log or shown by ``--debug``.
LONGEST = 900


def nearest(name: str, known: Iterable[str]) -> str:
    """Suggest what was meant by a name; empty if nothing is near.

    Example:
        >>> nearest('num_class', ['num_classes', 'topk'])
        'did you mean num_classes?'
        >>> nearest('xyz', ['num_classes'])
        ''
    """
    known = list(known)
    near = difflib.get_close_matches(name, known, 1)
    if not near:  # a type without its prefix, or in other letters
        by_end = {one.rsplit('.', 1)[-1].lower(): one for one in known}
        ends = difflib.get_close_matches(name.rsplit('.', 1)[-1].lower(), by_end, 1)
        near = [by_end[end] for end in ends]
    return f'did you mean {near[0]}?' if near else ''


def explain(error: BaseException) -> str:
    r"""Say in one line what went wrong.

    Of an error in a worker of a data loader, what the worker said; of a type or
    keyword that a registry does not know, the nearest one that it does; of a file in
    the place of a folder, that it is one.

    Args:
        error: Its traceback, if any, tells what was being built.

    Returns:
        The kind of the error and its text, without line breaks.

    Example:
        >>> explain(ValueError('one\n two')), explain(KeyError('model'))
        ('ValueError: one two', "KeyError: 'model' (--debug shows where)")
    """
    kind, text = type(error).__name__, str(error)
    if isinstance(error, KeyError):
        missing = error.args[0] if error.args else ''
        # of a look-up the bare key, of a message the message
        text = str(missing) if ' ' in str(missing) else repr(missing)
    worker = re.match(r'Caught (\w+) in DataLoader worker process', text)
    if worker:
        kind = worker[1]
        text = text.strip().splitlines()[-1].removeprefix(f'{kind}: ')
    elif unknown := re.search(r"unexpected keyword argument '(\w+)'", text):
        text = _explain_keyword(error, unknown[1]) or text
    elif ' is not in the ' in text and 'registry' in text:
        text = _explain_type(error) or text
    elif text == 'None is not a callable object':
        text = _explain_optimizer(error) or text
    elif lacks := re.search(r"'ConfigDict' object has no attribute '(\w+)'", text):
        text = f'The config has no `{lacks[1]}`, which is needed here'
    elif isinstance(error, FileExistsError | NotADirectoryError) and error.filename:
        text = (
            f'{str(error.filename)!r} is a file or lies below one, and a folder is '
            'needed: choose another place (--work-dir, --out-dir, ...).'
        )
    text = ' '.join(text.split()) or 'no more is said of it'
    if len(text) > LONGEST:
        text = f'{text[:LONGEST]} ...'
    hint = '' if isinstance(error, PLAIN) else ' (--debug shows where)'
    return f'{kind}: {text}{hint}'


def _locals(error: BaseException, *names: str) -> Iterator[dict[str, Any]]:
    """Give the variables of the functions of some names, the innermost first."""
    found, trace = [], error.__traceback__
    while trace is not None:
        frame, trace = trace.tb_frame, trace.tb_next
        if frame.f_code.co_name in names:
            found.append(frame.f_locals)
    return reversed(found)


def _explain_keyword(error: BaseException, name: str) -> str:
    for values in _locals(error, 'build_from_cfg'):
        cls, given = values.get('obj_cls'), values.get('args') or {}
        if not inspect.isclass(cls):
            continue
        known = sorted(arguments(cls)[0] - {'self'})
        if name in known or name not in given:
            continue  # it was handed to something else inside
        hint = nearest(name, known) or f'it takes {", ".join(known)}.'
        return f'{cls.__name__} has no setting {name!r}; {hint}'
    return ''


def _explain_type(error: BaseException) -> str:
    for values in _locals(error, 'build_from_cfg'):
        registry, name = values.get('registry'), values.get('obj_type')
        if registry is not None and isinstance(name, str):
            return _unknown(registry, name)
    return ''


def _explain_optimizer(error: BaseException) -> str:
    """Of an optimizer mmengine looks at the class before it builds it."""
    for values in _locals(error, '__call__'):
        if values.get('optimizer_cls', 0) is None:
            return _unknown(OPTIMIZERS, str(values['optimizer_cfg'].get('type')))
    return ''


def _unknown(registry: Any, name: str) -> str:
    """Say that a registry lacks a type, with the nearest of its family."""
    root = registry
    while root.parent is not None:
        root = root.parent
    known = set(root.module_dict)
    for child in root._children.values():
        known |= {f'{child.scope}.{key}' for key in child.module_dict}
    hint = nearest(name, sorted(known))
    hint = hint or 'check its name, and that the module which has it is imported.'
    return f'there is no {registry.name} of the type {name!r}; {hint}'
