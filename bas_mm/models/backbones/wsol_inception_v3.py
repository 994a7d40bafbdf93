"""InceptionV3 as WSOL papers use it."""

from typing import Any

import torch
from mmpretrain.models.backbones import InceptionV3
from torch import nn

from bas_mm.registry import MODELS


@MODELS.register_module()
class WSOLInceptionV3(InceptionV3):
    """mmpretrain's InceptionV3 with the strides and paddings of WSOL.

    A 224x224 view gives 28x28 after ``Mixed_6e`` and 14x14 at the end.
    There is no auxiliary head and no classifier; the names of the layers are
    the stock ones, so mmpretrain and torchvision checkpoints load.

    Args:
        **kwargs: Passed to :class:`mmpretrain.models.InceptionV3`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(aux_logits=False, **kwargs)
        self.Conv2d_1a_3x3.conv.padding = (1, 1)
        self.maxpool1 = nn.MaxPool2d(3, 2, padding=1, ceil_mode=True)
        self.maxpool2 = nn.MaxPool2d(3, 2, padding=1, ceil_mode=True)
        mixed_6a, mixed_7a = self.Mixed_6a, self.Mixed_7a
        for block in (mixed_6a.branch3x3, mixed_6a.branch3x3dbl_3):
            block.conv.stride, block.conv.padding = (1, 1), (1, 1)
        mixed_6a.branch_pool = nn.MaxPool2d(3, 1, padding=1)
        for block in (mixed_7a.branch3x3_2, mixed_7a.branch7x7x3_4):
            block.conv.padding = (1, 1)
        mixed_7a.branch_pool = nn.MaxPool2d(3, 2, padding=1)
        # unused parameters would stop DistributedDataParallel
        self.avgpool = self.dropout = self.fc = nn.Identity()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        """Views ``(B, 3, H, W)`` to features ``(B, 2048, h, w)``."""
        for layer in self.children():
            x = layer(x)
        return (x,)
