"""PSOL: a box instead of a map."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from mmpretrain.structures import DataSample
from torch import nn

from bas_mm.models.heads.loc_head import Losses, ShapeHead
from bas_mm.models.rerun import Rerun
from bas_mm.registry import MODELS
from bas_mm.structures import Acts


@dataclass(frozen=True)
class BoxActs(Acts):
    """:class:`bas_mm.structures.Acts`, with a box.

    Attributes:
        box: Left, top, width and height as shares of the view, ``(B, 4)``.
    """

    box: torch.Tensor | None = None


@MODELS.register_module()
class BoxHead(ShapeHead):
    """Regresses one box of no class (PSOL).

    Zhang, Cao, Wu, "Rethinking the Route Towards Weakly Supervised Object
    Localization", CVPR 2020. Features are pooled, and two linear layers give
    the box, which is learned from pseudo boxes. As its map it is painted, 1
    inside and 0 outside: any threshold gives the same box, and whatever reads
    maps works.

    Args:
        in_channels: Channels of the trunk's features.
        map_size: Side of the painted maps, in cells; that of the view paints
            the box to the pixel.
        mid_channels: Channels between the two layers.
        loss_weight: Factor of the mean squared error.
        **options: See :class:`bas_mm.models.heads.loc_head.ShapeHead`.
    """

    def __init__(
        self,
        in_channels: int,
        map_size: int,
        mid_channels: int = 512,
        loss_weight: float = 50.0,
        **options: Any,
    ) -> None:
        super().__init__(map_size, **options)
        self.loss_weight = loss_weight
        self.regressor = nn.Sequential(
            nn.Linear(in_channels, mid_channels),
            nn.ReLU(inplace=True),
            nn.Linear(mid_channels, 4),
            nn.Sigmoid(),
        )

    def forward(self, feats: Sequence[torch.Tensor]) -> BoxActs:
        """Regress.

        Args:
            feats: Feature maps of the neck, the trunk's last one last.

        Returns:
            The boxes, beside the features; logits of 0.
        """
        box = self.regressor(feats[-1].mean((2, 3))).float()
        return BoxActs(tuple(feats), self.no_logits(feats), box=box)

    def targets(self, data_samples: Sequence[DataSample]) -> torch.Tensor:
        """Give the pseudo boxes as :meth:`forward` gives boxes, ``(B, 4)``.

        Raises:
            ValueError: If a sample has none.
        """
        if not all('pseudo_bbox' in sample for sample in data_samples):
            raise ValueError(
                'BoxHead learns from `pseudo_bbox`, and a training sample has none: '
                'put bas_mm.LoadPseudoLabels into the training pipeline and '
                "'pseudo_bbox' among the `algorithm_keys` of PackLocInputs."
            )
        boxes = torch.stack([sample.pseudo_bbox for sample in data_samples])
        sizes = boxes.new_tensor([sample.img_shape[1::-1] for sample in data_samples])
        low, high = (boxes.unflatten(1, (2, 2)) / sizes[:, None]).unbind(1)
        return torch.cat([low, high - low], 1)

    def loss(self, acts: Acts, target: torch.Tensor, rerun: Rerun) -> Losses:
        """Give ``loss_box``, the weighted mean squared error.

        Args:
            acts: Of :meth:`forward`.
            target: Of :meth:`targets`.
            rerun: Not used.
        """
        assert isinstance(acts, BoxActs) and acts.box is not None
        return dict(loss_box=self.loss_weight * F.mse_loss(acts.box, target))

    def corners(self, acts: Acts) -> torch.Tensor:
        """Give the boxes as shares of the view, ``(B, 4)`` ``xyxy``, inside it."""
        assert isinstance(acts, BoxActs) and acts.box is not None
        low, side = acts.box.unflatten(1, (2, 2)).unbind(1)
        return torch.cat([low, low + side], 1).clamp(0, 1)

    def class_maps(self, acts: Acts, classes: torch.Tensor) -> torch.Tensor:
        """Paint the boxes, the same for each asked class.

        Args:
            acts: Of :meth:`forward`.
            classes: Class indices, ``(B, K)``.

        Returns:
            float32 maps of 0 and 1, ``(B, K, map_size, map_size)``; a box
            covers one cell or more.
        """
        edges = (self.corners(acts) * self.map_size).round()
        low = edges[:, :2].clamp(max=self.map_size - 1)
        high = torch.maximum(edges[:, 2:], low + 1)
        cells = torch.arange(self.map_size, device=edges.device)
        inside = (cells >= low[..., None]) & (cells < high[..., None])  # (B, 2, side)
        maps = (inside[:, 1, :, None] & inside[:, 0, None]).float()
        return maps[:, None].expand(-1, classes.shape[1], -1, -1)
