"""Ellipses drawn from five numbers, with a gradient."""

import math
from collections.abc import Sequence

import torch
from torch import nn

from bas_mm.registry import MODELS


def ellipse_mask(
    params: torch.Tensor, size: Sequence[int], sharpness: float | torch.Tensor
) -> torch.Tensor:
    """Draw ellipses as soft masks.

    GC-Net (Lu et al., ECCV 2020), the closed form of its generator.

    Args:
        params: Shape ``(B, 5)``, in (0, 1): center x and y and the lengths of
            both axes, as shares of the mask's width and height; the angle plus
            0.5, in units of pi (0.5: the first axis lies along x).
        size: ``(h, w)`` of the masks. The centers of the outermost pixels are
            at 0 and 1.
        sharpness: How steep the outline is.

    Returns:
        Masks in (0, 1), ``(B, h, w)``; 0.5 on the outline.

    Raises:
        ValueError: If ``params`` has another shape.

    Example:
        >>> circle = torch.tensor([[0.5, 0.5, 0.5, 0.5, 0.5]])
        >>> ellipse_mask(circle, (5, 5), 100.0).round().int()[0].tolist()[2]
        [0, 0, 1, 0, 0]
    """
    if params.ndim != 2 or params.shape[1] != 5:
        raise ValueError(
            f'`params` has the shape {tuple(params.shape)}; (B, 5) is needed: center '
            'x, y, two axis lengths, angle.'
        )
    x, y, first, second, angle = params[:, :, None, None].unbind(1)
    h, w = size[:2]
    like = dict(device=params.device, dtype=params.dtype)
    dx = torch.linspace(0, 1, w, **like) - x  # type: ignore[call-overload]
    dy = torch.linspace(0, 1, h, **like)[:, None] - y  # type: ignore[call-overload]
    theta = math.pi * (angle - 0.5)
    u = dx * theta.cos() + dy * theta.sin()
    v = dx * theta.sin() - dy * theta.cos()
    # an axis of no length must not make NaN
    r = (2 * u / first.clamp(min=1e-6)) ** 2 + (2 * v / second.clamp(min=1e-6)) ** 2
    return 0.5 - (sharpness * (r - 1)).atan() / math.pi


@MODELS.register_module()
class EllipseMask(nn.Module):
    """:func:`ellipse_mask` with a sharpness that is learned.

    Args:
        size: ``(h, w)`` of the masks.
        sharpness: Where it starts.
    """

    def __init__(self, size: Sequence[int], sharpness: float = 10.0) -> None:
        super().__init__()
        self.size = tuple(size)
        self.sharpness = nn.Parameter(torch.tensor(float(sharpness)))

    def forward(self, params: torch.Tensor) -> torch.Tensor:
        """Draw ``(B, 5)`` numbers in (0, 1) as masks ``(B, h, w)``."""
        return ellipse_mask(params, self.size, self.sharpness)
