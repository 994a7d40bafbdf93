"""RAM: the loss of restricted activation of SPA."""

from typing import Any

import torch
from torch import nn

from bas_mm.models.heads.cam_head import select_maps
from bas_mm.registry import MODELS
from bas_mm.structures import Acts


def ram_loss(
    logit_map: torch.Tensor, target: torch.Tensor, bg_threshold: float, gap: float
) -> torch.Tensor:
    """Give the loss of the restricted activation module.

    Pan et al., CVPR 2021, Sec. 3.2. Where the softmax over the classes varies
    little between them, a place is taken for background; where it varies much,
    for the object. There the sigmoid of the label's map has to be 0 and 1.
    Which place is what counts as constant for the gradient.

    Args:
        logit_map: Logit maps before any ReLU, ``(B, C, h, w)``, C of 2 or more.
        target: Labels, ``(B,)``.
        bg_threshold: Below this variance (min-max normalized in each image) is
            background.
        gap: The object is above ``bg_threshold + gap``; between them nothing
            is said.

    Returns:
        The mean over images and places, a scalar, float32. An image whose
        variance is the same everywhere is all background.

    Example:
        >>> maps = torch.tensor([[[[0.0, 9.0]], [[0.0, -9.0]]]])
        >>> ram_loss(maps, torch.tensor([0]), 0.1, 0.2).item()  # (0.5 + 0) / 2
        0.25006169080734253
    """
    logit_map = logit_map.float()
    with torch.no_grad():
        variance = logit_map.softmax(1).var(1)  # (B, h, w), unbiased
        low = variance.amin((1, 2), keepdim=True)
        spread = variance.amax((1, 2), keepdim=True) - low
        variance = (variance - low) / (spread + 1e-15)
        background = variance < bg_threshold
        foreground = variance > bg_threshold + gap
    own = select_maps(logit_map, target[:, None])[:, 0].sigmoid()
    return (own * background + (1 - own) * foreground).mean()


@MODELS.register_module()
class RAMLoss(nn.Module):
    """RAM as one of ``model.aux_losses``, beside any head with a logit map.

    Args:
        bg_threshold, gap: See :func:`bas_mm.models.ram_loss`. The authors'
            code has 0.1 and 0.2 on CUB, 0.4 and 0.1 on ILSVRC.
        weight: Weight of the loss.
        start_epoch: Epochs, counted from 0, before this one are without it.
    """

    def __init__(
        self,
        bg_threshold: float = 0.1,
        gap: float = 0.2,
        weight: float = 0.5,
        start_epoch: int = 0,
    ) -> None:
        super().__init__()
        self.bg_threshold = bg_threshold
        self.gap = gap
        self.weight = weight
        self.start_epoch = start_epoch

    def bind(self, model: Any) -> None:
        """Check that the model's logit maps can say no.

        Raises:
            ValueError: If a ReLU ends the head, or there is one class alone.
        """
        if getattr(model.head, 'final_relu', False):
            raise ValueError(
                'RAMLoss reads logit maps before any ReLU, also below 0: set '
                '`model.head.final_relu=False`.'
            )
        if model.num_classes < 2:
            raise ValueError(
                'RAMLoss compares classes with each other: it needs 2 or more '
                f'(model.head.num_classes), got {model.num_classes}.'
            )

    def forward(
        self, acts: Acts, target: torch.Tensor, epoch: int
    ) -> dict[str, torch.Tensor]:
        """Give ``loss_ram``, weighted; nothing before the first epoch of it.

        Args:
            acts: Logit maps, ``(B, C, h, w)``.
            target: Labels, ``(B,)``.
            epoch: Counted from 0.

        Raises:
            ValueError: If labels were mixed, or the head has no logit map.
        """
        if target.ndim != 1:
            raise ValueError(
                'RAMLoss needs one label for each image, but they come as shares of '
                'all classes: take `batch_augments` (and `to_onehot`) out of '
                '`model.data_preprocessor`, or RAMLoss out of `model.aux_losses`.'
            )
        if acts.logit_map is None:
            raise ValueError(
                'RAMLoss needs logit maps, and the head gives none: take it out of '
                '`model.aux_losses`.'
            )
        if epoch < self.start_epoch:
            return {}
        loss = ram_loss(acts.logit_map, target, self.bg_threshold, self.gap)
        return dict(loss_ram=self.weight * loss)
