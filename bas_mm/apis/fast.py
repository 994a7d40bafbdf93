"""Inference that trades precision for time."""

from collections.abc import Callable
from typing import Any

import torch

from bas_mm.models.folding import fold_norms
from bas_mm.utils.devices import has_bf16


def speed_up(model: Any) -> None:
    """Make a model predict faster, in place, with less precision.

    BatchNorm is folded into the convolutions before it, and what predicts runs in
    bfloat16 where the device has it; `bas-mm benchmark infer` times the gain.
    Channels-last inputs gained nothing beside.

    Args:
        model: In eval mode on its device, with its weights. Afterwards it cannot be
            trained, nor take others.

    Raises:
        ValueError: See :func:`bas_mm.models.folding.fold_norms`.
    """
    device = next(model.parameters()).device
    fold_norms(model)
    if has_bf16(device):
        for name in ('predict', 'score', 'each_map'):
            if hasattr(model, name):
                setattr(model, name, _in_bf16(getattr(model, name), device.type))


def _in_bf16(method: Callable[..., Any], device_type: str) -> Callable[..., Any]:
    def cast(*args: Any, **kwargs: Any) -> Any:
        # one for each call: it keeps what was before, of one thread and one level
        with torch.autocast(device_type, torch.bfloat16):
            return method(*args, **kwargs)

    return cast
