"""Settings of the command line, checked before they change a config."""

import ast
import contextlib
import difflib
import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.registry import DefaultScope, Registry
from mmpretrain import registry as registries

#: What a config may have on its top beside what the Runner takes.
_TOP = (
    'auto_scale_lr',
    'env_cfg',
    'find_unused_parameters',
    'log_level',
    'model_wrapper_cfg',
    'num_classes_from_data',
    'runner_type',
    'tta_model',
    'tta_pipeline',
)
_LOADER = ('dataset', 'sampler', 'batch_sampler', 'collate_fn', 'worker_init_fn')
#: What parts without a `type` take, beside what their default class does.
_PARTS: dict[str, tuple[str, Sequence[str]]] = {
    '': ('mmengine.runner.Runner', _TOP),
    'train_dataloader': ('torch.utils.data.DataLoader', _LOADER),
    'val_dataloader': ('torch.utils.data.DataLoader', _LOADER),
    'test_dataloader': ('torch.utils.data.DataLoader', _LOADER),
    'optim_wrapper': (
        'mmengine.optim.AmpOptimWrapper',
        ('type', 'constructor', 'paramwise_cfg'),
    ),
    'train_cfg': ('', ('type', 'by_epoch', 'max_epochs', 'max_iters', 'val_begin',
                       'val_interval', 'dynamic_intervals')),
    'val_cfg': ('mmengine.runner.ValLoop', ('type',)),
    'test_cfg': ('mmengine.runner.TestLoop', ('type',)),
    'randomness': ('', ('seed', 'diff_rank_seed', 'deterministic')),
    'auto_scale_lr': ('', ('enable', 'base_batch_size')),
    'model.data_preprocessor': ('bas_mm.models.WSOLDataPreprocessor', ('type',)),
}  # fmt: skip


def merge_options(cfg: Config, options: Mapping[str, Any] | None) -> None:
    """Change settings of a config, in place.

    A setting must be there, or be one that the part takes: an argument of the
    class that its ``type`` names. Free dicts (``paramwise_cfg.custom_keys``)
    take any name.

    Args:
        cfg: The config.
        options: From dotted paths to values.

    Raises:
        ValueError: If no such setting exists, with the nearest name; or if it
            asks for the maps of more classes than there are.
    """
    if not options:
        return
    before = cfg.to_dict()
    cfg.merge_from_dict(dict(options))
    after = cfg.to_dict()
    for path in options:
        _check_path(path, before, after)


def check_topk(cfg: Config, options: Mapping[str, Any] | None) -> None:
    """Refuse an option that asks for the maps of more classes than there are.

    The K of a config is one of its data: on data of fewer classes it means all.

    Args:
        cfg: The config, with its final number of classes.
        options: Those of the command line.

    Raises:
        ValueError: If ``...head.topk`` is over ``...head.num_classes``.
    """
    for path, value in (options or {}).items():
        part = path.removesuffix('.topk')
        if part == path or not part.endswith('head') or not isinstance(value, int):
            continue
        head = _get(cfg.to_dict(), part.split('.'))
        count = head.get('num_classes') if isinstance(head, Mapping) else None
        if count is not None and value > count:
            raise ValueError(
                f'{path}={value} is more than the {count} classes of the model '
                f'({part}.num_classes): give 1 to {count}; {count} takes all.'
            )


def _get(tree: Any, keys: Sequence[str]) -> Any:
    """Give what lies at a path, None if nothing does."""
    for key in keys:
        if isinstance(tree, Mapping):
            tree = tree.get(key)
        elif isinstance(tree, (list, tuple)) and key.isdecimal():
            tree = tree[int(key)] if int(key) < len(tree) else None
        else:
            return None
    return tree


def _check_path(path: str, before: Any, after: Any) -> None:
    """Check that a setting of a path exists, or may be added."""
    keys = path.split('.')
    for depth, key in enumerate(keys):
        old, new = _get(before, keys[:depth]), _get(after, keys[:depth])
        if isinstance(old, (list, tuple)) and key.isdecimal():
            continue  # mmengine checks the places
        part = '.'.join(keys[:depth])
        if old is None and part in _PARTS:
            old = {}  # a part that the option begins
        if not isinstance(old, Mapping):
            return
        if key in old:
            continue
        rest = keys[depth + 1 :]
        if keys[:depth] == ['default_hooks']:
            hook = _get(after, keys[: depth + 1])
            if isinstance(hook, Mapping) and 'type' in hook:
                return
            raise _unknown(path, key, part, old)
        known, free = _accepted(part, new)
        if key in known or (
            free and not difflib.get_close_matches(key, known, 1, 0.85)
        ):
            continue
        raise _unknown(path, key, part, [*old, *known], rest)


def _unknown(
    path: str, key: str, part: str, known: Iterable[str], rest: Sequence[str] = ()
) -> ValueError:
    """Build the error about a setting that does not exist."""
    names = sorted({str(name) for name in known} - {'self', 'type'})
    near = difflib.get_close_matches(key, names, 1, cutoff=0.6)
    if near:
        full = '.'.join([*([part] if part else []), near[0], *rest])
        meant = f'did you mean {full}?'
    else:
        shown = ', '.join(names[:12]) + (', ...' if len(names) > 12 else '')
        meant = f'{part or "it"} has {shown}.'
    where = f'{part!r} of the config' if part else 'the config'
    return ValueError(f'--cfg-options {path}: {where} has no {key!r}; {meant}')


def _accepted(part: str, settings: Any) -> tuple[set[str], bool]:
    """Tell which settings a part takes, and whether it takes any."""
    names: set[str] = set()
    kind: Any = settings.get('type') if isinstance(settings, Mapping) else None
    if kind is None:
        if part not in _PARTS:
            return names, True
        default, more = _PARTS[part]
        names.update(more)
        if not default:
            return names, False
        kind = default
    taken, free = arguments(_resolve(kind))
    return names | taken | set(_PARTS.get(part, ('', ()))[1]), free


def _resolve(kind: Any) -> Callable | None:
    """Find a class by its name in a registry, or by its path."""
    if not isinstance(kind, str):
        return kind
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        for registry in vars(registries).values():
            if isinstance(registry, Registry):
                with contextlib.suppress(KeyError, ImportError):
                    found = registry.get(kind)
                    if found is not None:
                        return found
    return None


def arguments(kind: Callable | None) -> tuple[set[str], bool]:
    """Tell which keyword arguments a class or function takes.

    Where it hands ``**kwargs`` on to the class above, those of that class are
    among them.

    Args:
        kind: A class, a function, or None for one that was not found.

    Returns:
        The names; and whether any other may be given, as far as can be seen.

    Example:
        >>> from mmengine.hooks import LoggerHook
        >>> names, free = arguments(LoggerHook)
        >>> 'interval' in names, 'intervall' in names, free
        (True, False, False)
    """
    if kind is None:
        return set(), True
    names: set[str] = set()
    chain: Sequence[Any] = kind.__mro__ if isinstance(kind, type) else [kind]
    for one in chain:
        init = one.__dict__.get('__init__') if isinstance(one, type) else one
        if init is None:
            continue
        if one is object or one.__module__.startswith('torch.nn.modules.module'):
            return names, False
        try:
            parameters = inspect.signature(init).parameters.values()
            handed_on = _hands_on(init)
        except (TypeError, ValueError, OSError, SyntaxError):
            return names, True
        names.update(
            p.name
            for p in parameters
            if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        )
        if not any(p.kind == p.VAR_KEYWORD for p in parameters):
            return names, False
        if not handed_on:
            return names, True
    return names, True


def _hands_on(init: Callable) -> bool:
    """Tell whether an ``__init__`` hands its ``**kwargs`` on to the class above."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(init)))
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == '__init__'
        and any(keyword.arg is None for keyword in node.keywords)
        for node in ast.walk(tree)
    )
