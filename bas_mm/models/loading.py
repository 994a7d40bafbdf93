"""Weights that must reach the trunk."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def require_loaded(trunk: nn.Module) -> Iterator[None]:
    """Watch the initialization of a trunk by pretrained weights.

    mmengine loads what fits and logs the rest, so that a checkpoint whose keys
    are named otherwise loads into nothing.

    Args:
        trunk: Its ``init_cfg`` says where weights come from.

    Raises:
        ValueError: At the end, if a checkpoint was loaded into the trunk that
            had no weights for one of its convolutions.
    """
    convs = {
        f'{name}.weight'
        for name, module in trunk.named_modules()
        if isinstance(module, nn.modules.conv._ConvNd)
    }
    missing: list[set[str]] = []

    def note(module: nn.Module, keys: Any) -> None:
        missing.append(convs & set(keys.missing_keys))

    handle = trunk.register_load_state_dict_post_hook(note)
    try:
        yield
    finally:
        handle.remove()
    lost = sorted(missing[-1]) if missing else []
    if lost:
        inits = getattr(trunk, 'init_cfg', None) or {}
        inits = inits if isinstance(inits, list) else [inits]
        source = [init.get('checkpoint') for init in inits if init.get('checkpoint')]
        raise ValueError(
            f'The pretrained weights {", ".join(map(repr, source))} have nothing for '
            f'{len(lost)} of the {len(convs)} convolutions of {type(trunk).__name__} '
            f'({", ".join(lost[:3])}{", ..." if len(lost) > 3 else ""}): they are of '
            'another network, or their keys have a prefix. Set '
            '`model.backbone.init_cfg` (checkpoint, prefix), or train without '
            'pretrained weights (`model.backbone.init_cfg=None`).'
        )
