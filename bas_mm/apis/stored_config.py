"""The config that a checkpoint carries, read without running it."""

import ast
import math
from collections.abc import Collection, Mapping
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS, TRANSFORMS

#: Where the parts of a stored config may come from; a config file, which the
#: user chooses and can read, is not restricted.
_ALLOWED = (
    'bas_mm.',
    'mmpretrain.models.backbones.',
    'mmpretrain.models.losses.',
    'mmpretrain.models.utils.',
    'mmpretrain.datasets.transforms.',
    'mmcv.',
    'mmengine.model.',
    'torch.nn.',
)


def stored_config(checkpoint: Mapping[str, Any], path: str) -> Config:
    """Read the config text in a checkpoint as data.

    The runner stores it as Python text. Only literals and calls of ``dict``
    and the like are evaluated, and the parts of the model that it names must
    be layers: loading a checkpoint runs no code of its author.

    Args:
        checkpoint: The checkpoint, loaded.
        path: Where it comes from, for errors.

    Returns:
        ``model`` and the fields of data and visualizer.

    Raises:
        ValueError: If there is no config in it, or one that is more than
            data; the message says to give the config file.
    """
    hint = (
        f'Give the config that it was trained with as `model` and '
        f'{path!r} as `weights` (localize: --model CONFIG --weights FILE; '
        'export-model: --config CONFIG).'
    )
    meta = checkpoint.get('meta')
    text = meta.get('cfg') if isinstance(meta, dict) else None
    if not isinstance(text, str):
        raise ValueError(f'The checkpoint {path!r} does not carry its config. {hint}')
    try:
        values = read_fields(text, ('model', 'test_dataloader', 'visualizer'))
        model = values['model']
        pipeline = values['test_dataloader']['dataset']['pipeline']
    except (SyntaxError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'The config in the checkpoint {path!r} cannot be read as plain '
            f'data: {type(error).__name__}: {error}. {hint}'
        ) from error
    _drop_init(model)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        for part, registry in ((model, MODELS), (pipeline, TRANSFORMS)):
            for name in _types(part):
                _check(name, registry, path, hint)
    return Config(ConfigDict(values))


def read_fields(text: str, names: Collection[str]) -> dict[str, Any]:
    """Read fields of a config's text as data; those that are not there are left out.

    Args:
        text: Python text.
        names: The fields.

    Raises:
        SyntaxError: If it is no Python text.
        ValueError: If a field is more than data.

    Example:
        >>> read_fields('a = dict(b=1); c = 2', ('a', 'd'))
        {'a': {'b': 1}}
    """
    return {
        node.targets[0].id: read_literal(node.value)
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in names
    }


def read_literal(node: ast.expr) -> Any:
    """Evaluate literals, ``dict(...)``, ``set()`` and ``inf``, and nothing else.

    Args:
        node: An expression.

    Raises:
        ValueError: If it is more than data.

    Example:
        >>> read_literal(ast.parse('dict(a=[1, -inf])', mode='eval').body)
        {'a': [1, -inf]}
    """
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        args = [read_literal(arg) for arg in node.args]
        if node.func.id == 'dict':
            pairs = [(key.arg, read_literal(key.value)) for key in node.keywords]
            if all(name for name, _ in pairs):
                return dict(*args, **{str(name): value for name, value in pairs})
        if node.func.id in ('set', 'list', 'tuple') and not node.keywords:
            return dict(set=set, list=list, tuple=tuple)[node.func.id](*args)
    if isinstance(node, ast.Name) and node.id in ('inf', 'nan'):
        return getattr(math, node.id)
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        kind = dict(List=list, Tuple=tuple, Set=set)[type(node).__name__]
        return kind(read_literal(item) for item in node.elts)
    if isinstance(node, ast.Dict):
        keys = [key for key in node.keys if key is not None]
        if len(keys) == len(node.values):
            return dict(zip(map(read_literal, keys), map(read_literal, node.values)))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -read_literal(node.operand)
    return ast.literal_eval(node)


def _drop_init(part: Any) -> None:
    """Take out where weights once came from: they are in the checkpoint."""
    if isinstance(part, dict):
        for key in ('init_cfg', 'pretrained'):
            part.pop(key, None)
        for value in part.values():
            _drop_init(value)
    elif isinstance(part, (list, tuple)):
        for value in part:
            _drop_init(value)


def _types(part: Any) -> list[Any]:
    """All ``type`` fields below."""
    if isinstance(part, dict):
        own = [part['type']] if 'type' in part else []
        return own + [name for value in part.values() for name in _types(value)]
    if isinstance(part, (list, tuple)):
        return [name for value in part for name in _types(value)]
    return []


def _check(name: Any, registry: Any, path: str, hint: str) -> None:
    known = None
    if (
        isinstance(name, str)
        and name.count('.') <= 1
        and name.rpartition('.')[0] in ('', 'bas_mm', 'mmpretrain', 'mmcv', 'mmengine')
    ):
        known = registry.get(name)
    module = getattr(known, '__module__', '') + '.'
    if not (
        isinstance(known, type) and module.startswith(_ALLOWED) and 'timm' not in module
    ):
        raise ValueError(
            f'The config in the checkpoint {path!r} asks for {name!r}, which '
            f'is no known layer or transform. {hint}'
        )
