"""C2AM: one map that parts what is alike in all images from the rest."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS as STOCK_MODELS
from torch import nn

from bas_mm.models.heads.loc_head import AgnosticHead, ForegroundActs, Losses
from bas_mm.models.rerun import Rerun
from bas_mm.registry import MODELS
from bas_mm.structures import Acts

_MOMENTUM = 0.05


@MODELS.register_module()
class C2AMHead(AgnosticHead):
    """A foreground map of no class, learned without labels (C2AM).

    Xie et al., CVPR 2022. ``F`` and the trunk's last features side by side are
    read by a 3x3 convolution, BatchNorm and a sigmoid. The features under the
    map must be alike over the images of a batch, those under 1 minus the map
    too, and the two unlike each other, see :func:`bas_mm.models.c2am_losses`.

    Which of both is the object the losses cannot say. It is what does not fill
    the border of the views: where the map does so in the mean over the training
    steps, 1 minus the map is given.

    Args:
        in_channels: Channels of ``F`` and of the last features together.
        loss: Config of the losses. Defaults to
            ``dict(type='bas_mm.C2AMLoss')``.
        **options: See :class:`bas_mm.models.AgnosticHead`.

    Attributes:
        border (Tensor): Share of the views' border that the map covers, a
            running mean; saved with the weights.
    """

    border: torch.Tensor

    def __init__(
        self, in_channels: int, loss: dict[str, Any] | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.conv = nn.Conv2d(in_channels, 1, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(1)
        self.loss_module = STOCK_MODELS.build(loss or dict(type='bas_mm.C2AMLoss'))
        self.register_buffer('border', torch.zeros(()))

    @staticmethod
    def join(feats: Sequence[torch.Tensor]) -> torch.Tensor:
        """Put ``F`` and the last features side by side, at the size of these."""
        h, w = feats[-1].shape[2:]
        shallow = F.adaptive_avg_pool2d(feats[-2], (h, w))
        return torch.cat([shallow, feats[-1]], 1)

    def forward(self, feats: Sequence[torch.Tensor]) -> ForegroundActs:
        """Map.

        Args:
            feats: Feature maps of the neck, ``F`` and the trunk's last one last.

        Returns:
            The map in (0, 1), ``(B, h, w)``, whatever its sign; logits of 0.
        """
        maps = self.bn(self.conv(self.join(feats))).float().sigmoid()
        return ForegroundActs(
            tuple(feats), self.no_logits(feats), foreground=maps[:, 0]
        )

    def loss(self, acts: Acts, target: torch.Tensor, rerun: Rerun) -> Losses:
        """Give ``loss_push``, ``loss_pull_fg`` and ``loss_pull_bg``.

        Args:
            acts: Of :meth:`forward`.
            target: Not used: no label is needed.
            rerun: Not used.
        """
        assert isinstance(acts, ForegroundActs) and acts.foreground is not None
        maps = acts.foreground[:, None]
        self._note_border(maps.detach())
        losses = self.loss_module(self.join(acts.feats), maps)
        return dict(losses, map_area=maps.detach().mean(), map_border=self.border)

    def _note_border(self, maps: torch.Tensor) -> None:
        """Take the border of a batch's maps, ``(B, 1, h, w)``, into the mean."""
        inside = (maps > 0.5).float()
        inner = inside[..., 1:-1, 1:-1]
        ring = inside[0].numel() - inner[0].numel()
        share = (inside.sum() - inner.sum()) / (ring * len(maps))
        self.border += _MOMENTUM * (share - self.border)

    def class_maps(self, acts: Acts, classes: torch.Tensor) -> torch.Tensor:
        """Give the map of the object, the same for each asked class.

        Args:
            acts: Of :meth:`forward`.
            classes: Class indices, ``(B, K)``.

        Returns:
            float32 maps in (0, 1), ``(B, K, h, w)``.
        """
        maps = super().class_maps(acts, classes)
        return torch.where(self.border > 0.5, 1 - maps, maps)
