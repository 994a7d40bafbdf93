"""Types of settings that the command line gives."""

import inspect
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

import bas_mm.registry as own


def check_types(cfg: Any, options: Mapping[str, Any] | None) -> None:
    """Check that settings are of the kind that they have in a config.

    A number may become another number, a list, or, where the class in question
    says that it takes one, a word; anything may become None, and what is None
    anything.

    Args:
        cfg: The config, or a dict, before the options are applied.
        options: Settings by their paths, ``a.b.0.c``.

    Raises:
        ValueError: If one is of another kind; names it, both values, and what
            it must be.

    Example:
        >>> check_types({'a': {'lr': 0.1}}, {'a.lr': 1, 'a.b': 'x'})
        >>> check_types({'a': {'lr': 0.1}}, {'a.lr': 'x'})
        Traceback (most recent call last):
        ...
        ValueError: --cfg-options a.lr=x: `a.lr` is a number (0.1 in the config), \
not text.
    """
    for path, value in (options or {}).items():
        parent, key, known = _find(cfg, path)
        old = parent[key] if known else None
        if old is None or value is None:
            continue
        kinds = _kind(old), _kind(value)
        wrong = (
            kinds in (('number', 'text'), ('number', 'dict'), ('text', 'dict'))
            or (kinds[0] == 'dict') != (kinds[1] == 'dict')
            or (key == 'type' and kinds[1] != 'text')
            or (kinds == ('list', 'text') and all(_kind(x) == 'number' for x in old))
        )
        if wrong and not (kinds == ('number', 'text') and _takes_words(parent, key)):
            names = {'dict': 'a group of settings', 'list': 'a list'}
            names |= {'number': 'a number', 'text': 'text'}
            now = '' if kinds[0] == 'dict' else f' ({old!r} in the config)'
            cure = ''
            if kinds[0] == 'dict':
                some = ', '.join(f'{path}.{name}' for name in list(old)[:3])
                cure = f'; give one of them, such as {some}, or None'
            raise ValueError(
                f'--cfg-options {path}={value}: `{path}` is {names[kinds[0]]}{now}, '
                f'not {names[kinds[1]]}{cure}.'
            )


def _find(cfg: Any, path: str) -> tuple[Any, Any, bool]:
    """Find the place of a setting: what holds it, its key, whether it is there."""
    parts: list[Any] = path.split('.')
    cfg = cfg._cfg_dict if isinstance(cfg, Config) else cfg
    for i, part in enumerate(parts):
        if isinstance(cfg, (list, tuple)) and part.isdigit():
            parts[i] = part = int(part)
            known = part < len(cfg)
        else:
            known = isinstance(cfg, Mapping) and part in cfg
        if not known or i == len(parts) - 1:
            return cfg, part, known
        cfg = cfg[part]
    raise ValueError('--cfg-options has an empty key.')


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return 'dict'
    if isinstance(value, (list, tuple)):
        return 'list'
    return 'text' if isinstance(value, str) else 'number'


def _takes_words(parent: Any, key: Any) -> bool:
    """Tell whether the class that a setting belongs to takes text for it."""
    name = parent.get('type') if isinstance(parent, Mapping) else None
    for registry in map(vars(own).get, own.__all__):
        cls = registry.get(name) if isinstance(name, str) and registry else None
        for one in inspect.getmro(cls) if inspect.isclass(cls) else ():
            hint = inspect.signature(one).parameters.get(key)
            if hint is not None:
                return 'str' in str(hint.annotation)
    return False
