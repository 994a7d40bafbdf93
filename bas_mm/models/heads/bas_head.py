"""The generator of foreground maps beside the classification head."""

from typing import Optional, Tuple

import torch
import torch.nn.functional as F
from torch import nn

from bas_mm.registry import MODELS

from .cam_head import CAMHead


@MODELS.register_module()
class BASHead(CAMHead):
    """Classification head and generator of BAS (paper, Sec. 3.2).

    The generator is one conv3x3 and a sigmoid: one foreground map in (0, 1)
    for each class, read from ``F`` at the cut of the trunk.

    Args:
        map_channels (int): Channels of ``F``, the features at the cut.
        loss (dict): The loss that joins the four terms. Defaults to
            ``dict(type='bas_mm.AMCLoss')``.
        **kwargs: The arguments of :class:`CAMHead`.
    """

    def __init__(
        self, *args, map_channels: int, loss: Optional[dict] = None, **kwargs
    ) -> None:
        super().__init__(*args, loss=loss or dict(type='bas_mm.AMCLoss'), **kwargs)
        self.generator = nn.Conv2d(map_channels, self.num_classes, 3, padding=1)

    def class_maps(
        self, feat: torch.Tensor, logit_map: torch.Tensor, classes: torch.Tensor
    ) -> torch.Tensor:
        """Foreground maps of the asked classes.

        Where fewer than half of the classes are asked for, only their
        filters run (one group of a grouped conv for each image): the same
        values and gradients as the full conv, for K / C of its cost.

        Args:
            feat (torch.Tensor): ``F``, ``(B, N, H, W)``.
            logit_map (torch.Tensor): Not used by BAS.
            classes (torch.Tensor): Class indices, ``(B, K)``.

        Returns:
            torch.Tensor: float32 maps in (0, 1), ``(B, K, H, W)``.
        """
        (b, n, h, w), k = feat.shape, classes.shape[1]
        gen = self.generator
        if 2 * k > self.num_classes:
            maps = super().class_maps(feat, gen(feat), classes)
        else:
            index = classes.flatten()
            maps = F.conv2d(
                feat.reshape(1, b * n, h, w),
                gen.weight[index],  # (B * K, N, 3, 3)
                gen.bias[index],
                padding=gen.padding,
                groups=b,
            ).view(b, k, h, w)
        return maps.float().sigmoid()

    def loss(
        self, logit_map: torch.Tensor, target: torch.Tensor, *args
    ) -> Tuple[dict, dict]:
        """Losses and figures for the log, see :meth:`AMCLoss.forward`."""
        return self.loss_module(logit_map, target, *args)
