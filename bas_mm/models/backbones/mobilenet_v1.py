"""MobileNetV1, the trunk of the paper's third backbone."""

import re
from collections.abc import Sequence
from typing import Any

import torch
from mmpretrain.models.backbones.base_backbone import BaseBackbone
from torch import nn

from bas_mm.registry import MODELS


def _conv_bn_relu(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel,
            stride,
            kernel // 2,
            groups=groups,
            bias=False,
        ),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


@MODELS.register_module()
class MobileNetV1(BaseBackbone):
    """MobileNetV1 (`arXiv 1704.04861 <https://arxiv.org/abs/1704.04861>`_).

    One conv-bn-relu and 13 depthwise-separable blocks, ``model.0`` to
    ``model.13``. The layers are named as in the public ImageNet checkpoint
    ``mobilenet_v1_with_relu_69_5.pth``, with ``model.`` before the names or,
    as in the file itself, without.

    Args:
        strides: Stride of each of the 14 blocks. The default is the network
            of the BAS paper: block 6 has stride 1 instead of 2, so that a
            224x224 view gives 28x28 after block 11.
        init_cfg: Initialization config.

    Raises:
        ValueError: If there are not 14 strides.
    """

    widths = (32, 64, 128, 128, 256, 256, *(512,) * 6, 1024, 1024)

    def __init__(
        self,
        strides: Sequence[int] = (2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 1, 1, 2, 1),
        init_cfg: Any = (
            dict(type='Kaiming', layer='Conv2d'),
            dict(type='Constant', val=1, layer='BatchNorm2d'),
        ),
    ) -> None:
        super().__init__(list(init_cfg) if isinstance(init_cfg, tuple) else init_cfg)
        if len(strides) != len(self.widths):
            raise ValueError(
                f'MobileNetV1 has {len(self.widths)} blocks, but '
                f'`model.backbone.strides` gives {len(strides)} strides.'
            )
        blocks = [nn.Sequential(*_conv_bn_relu(3, self.widths[0], 3, strides[0]))]
        for in_channels, out_channels, stride in zip(
            self.widths, self.widths[1:], strides[1:]
        ):
            blocks.append(
                nn.Sequential(
                    *_conv_bn_relu(
                        in_channels, in_channels, 3, stride, groups=in_channels
                    ),
                    *_conv_bn_relu(in_channels, out_channels, 1),
                )
            )
        self.model = nn.Sequential(*blocks)
        self._register_load_state_dict_pre_hook(self._rename_keys)

    @staticmethod
    def _rename_keys(state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Put ``model.`` before the keys of the public file, in place."""
        own = re.compile(re.escape(prefix) + r'\d+\.')
        for key in [key for key in state_dict if own.match(key)]:
            name = f'{prefix}model.{key.removeprefix(prefix)}'
            state_dict[name] = state_dict.pop(key)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        """Views ``(B, 3, H, W)`` to features ``(B, 1024, H/16, W/16)``."""
        return (self.model(x),)
