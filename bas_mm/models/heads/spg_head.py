"""SPG: sure places of the map teach side branches, which teach each other."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from bas_mm.models.heads.cam_head import (
    CAMActs,
    CAMHead,
    Losses,
    select_maps,
    zero_of,
)
from bas_mm.models.normalize import normalize_maps
from bas_mm.models.rerun import Rerun
from bas_mm.registry import MODELS
from bas_mm.structures import Acts

# Above the first is sure foreground, below the second sure background. Whose
# mask: the attention's, that of branch B2, that of B1 and B2 together.
_ATTENTION, _DEEP, _FUSED = (0.7, 0.05), (0.5, 0.05), (0.7, 0.1)
_FEWEST, _SHARE = 30, 0.7


def trimap(
    attention: torch.Tensor, high: float, low: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sort the places of maps into sure foreground, sure background, unsure.

    Args:
        attention: Values in [0, 1], ``(B, h, w)``.
        high: Above it is foreground. Where fewer than 30 places of an image
            are, 0.7 of its maximum takes its place for this image.
        low: Below it is background, whatever ``high`` became.

    Returns:
        Which places are foreground, and which are sure, both bool,
        ``(B, h, w)``. What equals a bound is unsure.

    Example:
        >>> fg, sure = trimap(torch.tensor([[[0.0, 0.3, 0.6, 0.8]]]), 0.7, 0.1)
        >>> fg.tolist(), sure.tolist()  # fewer than 30 places: above 0.56
        ([[[False, False, True, True]]], [[[True, False, True, True]]])
    """
    few = (attention > high).sum((1, 2), keepdim=True) < _FEWEST
    lowered = _SHARE * attention.amax((1, 2), keepdim=True)
    bar = torch.where(few, lowered, torch.full_like(lowered, high))
    background = attention < low
    foreground = (attention > bar) & ~background
    return foreground, foreground | background


def spg_losses(
    label_map: torch.Tensor,
    b1: torch.Tensor,
    b2: torch.Tensor,
    c: torch.Tensor,
    size: Sequence[int],
) -> dict[str, torch.Tensor]:
    """Give the losses of the side branches of SPG.

    Zhang et al., ECCV 2018. The attention map (bilinear to ``size``,
    then min-max normalized) teaches B2, B2 teaches B1, and both together teach
    C. Each is the mean binary cross-entropy over the sure places of the whole
    batch, see :func:`trimap`; what teaches counts as constant.

    Args:
        label_map: Logit map of each image's label, ``(B, h, w)``. One that is
            the same everywhere is background everywhere.
        b1: Logits of the shallower branch, ``(B, 1, h, w)``.
        b2: Those of the deeper one, of any size.
        c: Those of the branch at the classifier.
        size: ``(h, w)`` of the masks, that of the view.

    Returns:
        ``b2``, ``b1`` and ``c``, scalars, float32; 0 where no place is sure.

    Example:
        >>> one = torch.zeros(1, 1, 2, 2)
        >>> losses = spg_losses(torch.eye(2)[None], one, one, one, (8, 8))
        >>> {name: round(loss.item(), 3) for name, loss in losses.items()}
        {'b2': 0.693, 'b1': 0.693, 'c': 0.693}
    """

    def up(maps: torch.Tensor) -> torch.Tensor:
        h, w = size[:2]
        return F.interpolate(maps.float(), (h, w), mode='bilinear')[:, 0]

    def loss(
        logits: torch.Tensor, teacher: torch.Tensor, bounds: tuple[float, float]
    ) -> torch.Tensor:
        foreground, sure = trimap(teacher.detach(), *bounds)
        each = F.binary_cross_entropy_with_logits(
            logits, foreground.float(), reduction='none'
        )
        return (each * sure).sum() / sure.sum().clamp(min=1)

    label_map = label_map.detach()
    # what resizing adds to a constant map is no attention
    flat = label_map.amax((1, 2)) == label_map.amin((1, 2))
    attention = normalize_maps(up(label_map[:, None])) * ~flat[:, None, None]
    b1, b2, c = up(b1), up(b2), up(c)
    fused = (b1.sigmoid() + b2.sigmoid()) / 2
    return dict(
        b2=loss(b2, attention, _ATTENTION),
        b1=loss(b1, b2.sigmoid(), _DEEP),
        c=loss(c, fused, _FUSED),
    )


@MODELS.register_module()
class SPGHead(CAMHead):
    """Self-produced guidance (SPG).

    Zhang, Wei, Kang, Yang, Huang, ECCV 2018, `arXiv 1807.08902
    <https://arxiv.org/abs/1807.08902>`_. Beside the classifier stand two
    branches on the first two taps of the neck, B1 on the shallower and B2 on
    the deeper one, which share all but their first convolution, and one, C,
    on what the classifier's last convolution reads. Their losses,
    :func:`bas_mm.models.spg_losses`, shape the features that they share with
    the classifier; at test time they do not run, and the map is the
    classifier's.

    Args:
        tap_channels: Channels of the first two of ``model.neck.taps``.
        side_channels: Channels inside B1 and B2.
        mask_channels: Channels inside C.
        final_relu: As in :class:`CAMHead`; the method has none.
        **kwargs: The other arguments of :class:`CAMHead`.

    Raises:
        ValueError: If ``tap_channels`` are not two.
    """

    needs_label = True

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        *,
        tap_channels: Sequence[int],
        side_channels: int = 512,
        mask_channels: int = 512,
        final_relu: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, in_channels, final_relu=final_relu, **kwargs)
        if len(tap_channels) != 2:
            raise ValueError(
                '`model.head.tap_channels` must be two numbers, those of the two '
                f'`model.neck.taps`, got {list(tap_channels)}.'
            )
        # named so that the schedules' keys for `head.classifier` match them, too
        self.b1_head, self.b2_head = (
            nn.ModuleDict(
                dict(
                    classifier=nn.Sequential(
                        nn.Conv2d(channels, side_channels, 3, padding=1),
                        nn.ReLU(inplace=True),
                    )
                )
            )
            for channels in tap_channels
        )
        one: dict[str, Any] = dict(num_classes=1, num_convs=1, final_relu=False)
        self.side_head = CAMHead(
            in_channels=side_channels, mid_channels=side_channels, **one
        )
        last: Any = self.classifier[self._last]
        self.mask_head = CAMHead(
            in_channels=last.in_channels, mid_channels=mask_channels, **one
        )

    def forward(self, feats: Sequence[torch.Tensor]) -> CAMActs:
        """Classify; the branches run in :meth:`loss` alone."""
        hidden = self.classifier[: self._last](feats[-1])
        logit_map = self.classifier[self._last :](hidden)
        return CAMActs(tuple(feats), self.pool(logit_map), logit_map, hidden)

    def loss(self, acts: Acts, target: torch.Tensor, rerun: Rerun) -> Losses:
        """Give the losses of the classifier and of the three branches.

        Args:
            acts: Of :meth:`forward`.
            target: Labels, ``(B,)``.
            rerun: Knows the size of the view.

        Returns:
            ``loss_cls``, ``loss_b2``, ``loss_b1``, ``loss_c``, and ``acc`` for
            the log.

        Raises:
            ValueError: If the neck has not two taps.
        """
        assert isinstance(acts, CAMActs) and acts.logit_map is not None
        if len(acts.feats) < 4:
            raise ValueError(
                'SPGHead reads two taps of the neck, and there are '
                f'{len(acts.feats) - 2}: set `model.neck.taps` to the names of two '
                'layers.'
            )
        shallow, deep = (
            self.side_head.classifier(branch['classifier'](feat))
            for branch, feat in zip((self.b1_head, self.b2_head), acts.feats)
        )
        sides = spg_losses(
            select_maps(acts.logit_map, target[:, None])[:, 0],
            shallow,
            deep,
            self.mask_head.classifier(acts.hidden),
            rerun.inputs.shape[2:],
        )
        losses = super().cls_loss(acts, target)
        losses.update((f'loss_{name}', loss) for name, loss in sides.items())
        return losses

    def cls_loss(self, acts: Acts, target: torch.Tensor) -> Losses:
        """Give the loss of the classifier alone."""
        losses = super().cls_loss(acts, target)
        idle = (self.b1_head, self.b2_head, self.side_head, self.mask_head)
        losses['loss_cls'] = losses['loss_cls'] + zero_of(*idle)
        return losses
