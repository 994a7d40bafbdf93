"""Maps of a batch, brought to one range."""

import torch


def normalize_maps(maps: torch.Tensor) -> torch.Tensor:
    """Min-max normalize each map to [0, 1].

    What :func:`bas_mm.localization.normalize_map` does with one map on the
    host, for tensors with a gradient.

    Args:
        maps: Shape ``(..., h, w)``, any range.

    Returns:
        float32, of the same shape. A map that is the same everywhere gives
        zeros.

    Example:
        >>> normalize_maps(torch.tensor([[[1.0, 2.0, 5.0]], [[7.0] * 3]])).tolist()
        [[[0.0, 0.25, 1.0]], [[0.0, 0.0, 0.0]]]
    """
    maps = maps.float()
    maps = maps - maps.amin((-2, -1), keepdim=True)
    peak = maps.amax((-2, -1), keepdim=True)
    return maps / peak.where(peak > 0, torch.ones_like(peak))
