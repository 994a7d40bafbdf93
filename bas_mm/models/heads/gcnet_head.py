"""GC-Net: an ellipse that holds what a classifier needs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from bas_mm.models.ellipse import ellipse_mask
from bas_mm.models.heads.loc_head import ForegroundActs, Losses, ShapeHead
from bas_mm.models.rerun import Rerun
from bas_mm.registry import MODELS
from bas_mm.structures import Acts


@dataclass(frozen=True)
class EllipseActs(ForegroundActs):
    """:class:`bas_mm.models.heads.loc_head.ForegroundActs`, with its ellipse.

    Attributes:
        ellipse: See :func:`bas_mm.models.ellipse_mask`, ``(B, 5)``.
    """

    ellipse: torch.Tensor | None = None


@MODELS.register_module()
class GCNetHead(ShapeHead):
    """Regresses one ellipse, and is judged by a classifier (GC-Net).

    Lu et al., "Geometry Constrained Weakly Supervised Object Localization",
    ECCV 2020, with the closed form of the drawn ellipse. The classifier of
    :class:`bas_mm.models.TwoNetworks`, whose weights are constants, must
    recognize the label in the ellipse, and no class in the rest; the ellipse is
    to be small.

    Args:
        in_channels: Channels of the trunk's features.
        map_size: Side of the drawn maps, in cells; at most that of the view.
        area_weight: Weight of the product of both axes.
        sharpness: Of the outline at the start; it is learned.
        **options: See :class:`bas_mm.models.heads.loc_head.ShapeHead`. The outline lies
            where the map is half of its range: ``threshold`` defaults to 0.5.
    """

    needs_label = True

    def __init__(
        self,
        in_channels: int,
        map_size: int,
        area_weight: float = 2.5,
        sharpness: float = 10.0,
        **options: Any,
    ) -> None:
        super().__init__(map_size, **options)
        self.area_weight = area_weight
        self.ellipse = nn.Linear(in_channels, 5)
        self.sharpness = nn.Parameter(torch.tensor(float(sharpness)))

    def forward(self, feats: Sequence[torch.Tensor]) -> EllipseActs:
        """Regress and draw.

        Args:
            feats: Feature maps of the neck, the trunk's last one last.

        Returns:
            The ellipse and its soft mask, ``(B, map_size, map_size)``; logits
            of 0.
        """
        params = self.ellipse(feats[-1].mean((2, 3))).float().sigmoid()
        mask = ellipse_mask(params, (self.map_size, self.map_size), self.sharpness)
        return EllipseActs(tuple(feats), self.no_logits(feats), None, mask, params)

    def loss(self, acts: Acts, target: torch.Tensor, rerun: Rerun) -> Losses:
        """Give ``loss_object``, ``loss_rest`` and ``loss_size``.

        Args:
            acts: Of :meth:`forward`.
            target: Labels, ``(B,)``.
            rerun: Asks the classifier.

        Returns:
            The cross-entropy of the object alone; what the entropy of the rest
            lacks of ln C; and the weighted mean product of the axes. For the
            log ``acc_object`` (percent).
        """
        assert isinstance(acts, EllipseActs)
        assert acts.foreground is not None and acts.ellipse is not None
        h, w = rerun.inputs.shape[2:]
        mask = F.interpolate(
            acts.foreground[:, None], (h, w), mode='bilinear', align_corners=True
        )
        inside, rest = rerun.judge(mask), rerun.judge(1 - mask)
        log_p = rest.log_softmax(1)
        entropy = -(log_p.exp() * log_p).sum(1)
        return dict(
            loss_object=F.cross_entropy(inside, target),
            loss_rest=(math.log(rest.shape[1]) - entropy).mean(),
            loss_size=self.area_weight * acts.ellipse[:, 2:4].prod(1).mean(),
            acc_object=100 * (inside.argmax(1) == target).float().mean(),
        )

    def corners(self, acts: Acts) -> torch.Tensor:
        """Give the boxes around the ellipses as shares of the view, cut to it."""
        assert isinstance(acts, EllipseActs) and acts.ellipse is not None
        x, y, first, second, angle = acts.ellipse.unbind(1)
        theta = math.pi * (angle - 0.5)
        cos, sin = theta.cos() * first / 2, theta.sin() * first / 2
        cos2, sin2 = theta.cos() * second / 2, theta.sin() * second / 2
        right, down = torch.hypot(cos, sin2), torch.hypot(sin, cos2)
        box = [x - right, y - down, x + right, y + down]
        return torch.stack(box, 1).clamp(0, 1)
