"""ORNet: a map that is sharp, and no larger than it has to be."""

import torch
from torch import nn

from bas_mm.registry import MODELS

# Classes of these ranks, by the evaluator's scores, must have no activation.
_FIRST, _LAST = 4, 25
_WIDTH = 0.1


def ornet_losses(
    attention: torch.Tensor, logits: torch.Tensor, class_maps: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Give the losses of ORNet's second stage, beside the evaluator's own.

    Xie et al., ICCV 2021.

    Args:
        attention: Values in [0, 1], ``(B, 1, h, w)``.
        logits: Of the frozen evaluator for the masked view, ``(B, C)``.
        class_maps: The generator's channels, one for each class,
            ``(B, C, h, w)``.

    Returns:
        ``entropy``: the mean binary entropy (in nats) of the attention, each
        place weighted by ``exp(-(a - 0.5)^2 / 0.02)``: what is undecided.
        ``area``: the mean of the attention, and the summed means of the maps
        of the classes that the evaluator ranks 4th to 25th, mean over images;
        with fewer than four classes there are none. Scalars, float32.

    Example:
        >>> undecided = torch.full((1, 1, 2, 2), 0.5)
        >>> losses = ornet_losses(undecided, torch.zeros(1, 3), torch.ones(1, 3, 2, 2))
        >>> {name: round(loss.item(), 3) for name, loss in losses.items()}
        {'entropy': 0.693, 'area': 0.5}
    """
    attention = attention.float()
    # far from a log of 0, whose gradient is none
    a = attention.clamp(1e-6, 1 - 1e-6)
    entropy = -(a * a.log() + (1 - a) * (1 - a).log())
    weight = torch.exp(-((attention - 0.5) ** 2) / (2 * _WIDTH**2))
    ranks = logits.topk(min(_LAST, logits.shape[1]), dim=1).indices[:, _FIRST - 1 :]
    means = class_maps.mean((2, 3), dtype=torch.float32).gather(1, ranks)
    return dict(
        entropy=(entropy * weight).mean(), area=attention.mean() + means.sum(1).mean()
    )


@MODELS.register_module()
class ORNetLoss(nn.Module):
    """:func:`ornet_losses`, weighted.

    Args:
        entropy_weight: Weight of the entropy.
        area_weight: Weight of the area.
    """

    def __init__(self, entropy_weight: float = 1.5, area_weight: float = 0.02) -> None:
        super().__init__()
        self.entropy_weight = entropy_weight
        self.area_weight = area_weight

    def forward(
        self, attention: torch.Tensor, logits: torch.Tensor, class_maps: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Give ``loss_entropy`` and ``loss_area``."""
        losses = ornet_losses(attention, logits, class_maps)
        return dict(
            loss_entropy=self.entropy_weight * losses['entropy'],
            loss_area=self.area_weight * losses['area'],
        )
