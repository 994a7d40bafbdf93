"""C2AM: foregrounds are alike, backgrounds are alike, both are not."""

import torch
import torch.nn.functional as F
from torch import nn

from bas_mm.registry import MODELS

_LEAST = 0.0005  # cosines stay so far from 0 and 1


def _cosines(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return F.normalize(a.float(), dim=1) @ F.normalize(b.float(), dim=1).T


def _pull(x: torch.Tensor, alpha: float) -> torch.Tensor:
    """Mean of -log cos of all pairs, the most similar ones the most."""
    cosines = _cosines(x, x)
    with torch.no_grad():
        # an image comes first in its own row
        order = cosines.clone().fill_diagonal_(2).argsort(1, descending=True)
        rank = order.argsort(1) - 1
        weight = torch.exp(-alpha * rank)
    return -(cosines.clamp(_LEAST, 1 - _LEAST).log() * weight).mean()


def c2am_losses(
    fg: torch.Tensor, bg: torch.Tensor, alpha: float
) -> dict[str, torch.Tensor]:
    """Give the losses of C2AM (Xie et al., CVPR 2022).

    No label is needed: an image's foreground is the features under its map,
    its background those under 1 minus the map.

    Args:
        fg: Foreground features, ``(B, N)``.
        bg: Background features, ``(B, N)``.
        alpha: How fast the weight of a pair falls with its rank.

    Returns:
        ``push``: mean of ``-log(1 - cos)`` over all foreground and background
        pairs. ``pull_fg`` and ``pull_bg``: mean of ``-log(cos) exp(-alpha r)``
        over all pairs, r being the pair's place in its row by similarity, from
        0; an image with itself has -1. Cosines are clamped to
        [0.0005, 0.9995], where they have no gradient. Scalars, float32.

    Example:
        >>> fg, bg = torch.tensor([[1.0, 0.0]] * 2), torch.tensor([[0.0, 1.0]] * 2)
        >>> losses = c2am_losses(fg, bg, 0.25)
        >>> {name: round(loss.item(), 4) for name, loss in losses.items()}
        {'push': 0.0005, 'pull_fg': 0.0006, 'pull_bg': 0.0006}
    """
    apart = _cosines(bg, fg).clamp(_LEAST, 1 - _LEAST)
    return dict(
        push=-(1 - apart).log().mean(),
        pull_fg=_pull(fg, alpha),
        pull_bg=_pull(bg, alpha),
    )


@MODELS.register_module()
class C2AMLoss(nn.Module):
    """:func:`c2am_losses` of a map and the features below it.

    Args:
        alpha: See :func:`c2am_losses`: 0.05 with ImageNet weights, 0.75 with
            MoCo's on CUB.
    """

    def __init__(self, alpha: float = 0.05) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(
        self, feat: torch.Tensor, fg_map: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Give ``loss_push``, ``loss_pull_fg`` and ``loss_pull_bg``.

        Args:
            feat: Features, ``(B, N, h, w)``.
            fg_map: Values in (0, 1), ``(B, 1, h, w)``.
        """
        fg, bg = ((m * feat).mean((2, 3)) for m in (fg_map, 1 - fg_map))
        losses = c2am_losses(fg, bg, self.alpha)
        return {f'loss_{name}': loss for name, loss in losses.items()}
