"""Inference that trades precision for time."""

from collections.abc import Callable
from typing import Any

import torch

from bas_mm.models.folding import fold_norms
from bas_mm.utils.devices import has_bf16


def speed_up(model: Any) -> None:
    """Make a model predict faster, in place, with less precision.

    BatchNorm is folded into the convolutions before it, and what predicts runs in
    bfloat16 where the device has it. On one thread of a shared AMD EPYC with
    AVX-512, in process CPU time: EfficientNet-Lite0 (batches of 8) 1.11 times as
    fast folded, 1.83 in bfloat16, 2.06 with both; ResNet50 (batches of 2) 1.01, 1.87
    and 1.90. Channels-last inputs gained nothing beside (1.00 and 1.02).

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
