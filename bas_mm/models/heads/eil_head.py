"""EIL: the erased features must be classified as well."""

from collections.abc import Sequence
from typing import Any

import torch

from bas_mm.models.erasing import keep_below
from bas_mm.models.heads.cam_head import CAMHead, Losses
from bas_mm.models.rerun import Rerun
from bas_mm.registry import MODELS
from bas_mm.structures import Acts


@MODELS.register_module()
class EILHead(CAMHead):
    """Erasing integrated learning (Mai, Yang, Luo, CVPR 2020).

    At a stage of the trunk the places that are most active (mean over the
    channels) are erased, and the rest runs through the same layers again: both
    must be classified. The erased stream exists in training alone.

    BatchNorm layers behind the stage see two batches in each step, one after
    the other.

    Args:
        erase_threshold: Places whose attention reaches this share of the
            image's maximum are erased (the authors' code; the paper's text has
            a threshold that is no share).
        erase_weight: Weight of each erased stream's loss.
        stages: Where to erase: -1 is ``F``, at ``model.neck.start``; 1 and up
            are the taps, see :meth:`bas_mm.models.SplitNeck.stage_index`. More
            than one: MEIL, as it is understood here: each adds a stream from
            the features of the plain pass.
        relative: See :func:`bas_mm.models.keep_below`.
        **kwargs: The arguments of :class:`CAMHead`.

    Raises:
        ValueError: If ``stages`` names none but the view, or an option is not
            allowed.
    """

    def __init__(
        self,
        *args: Any,
        erase_threshold: float = 0.7,
        erase_weight: float = 1.0,
        stages: Sequence[int] = (-1,),
        relative: str = 'max',
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if not erase_weight >= 0:
            raise ValueError(
                f'`model.head.erase_weight` must be 0 or more, got {erase_weight}.'
            )
        if not stages or 0 in stages:
            raise ValueError(
                '`model.head.stages` must name stages of the trunk: -1 for F, 1 and '
                f'up for the taps (0, the view, has no attention), got {stages}.'
            )
        keep_below(torch.zeros(1, 1, 1, 1), erase_threshold, relative)  # speaks up
        self.erase_threshold = erase_threshold
        self.erase_weight = erase_weight
        self.stages = tuple(stages)
        self.relative = relative

    def loss(self, acts: Acts, target: torch.Tensor, rerun: Rerun) -> Losses:
        """Give the losses of the plain stream and of the erased ones.

        Args:
            acts: Of :meth:`forward`.
            target: As in :meth:`CAMHead.loss`.
            rerun: Runs the trunk and this head again.

        Returns:
            ``loss_cls``, ``loss_erased`` (the sum over the stages), and for
            the log ``acc``, and ``kept``, the share of places that were kept.
        """
        losses = self.cls_loss(acts, target)
        erased, kept = [], []
        for stage in self.stages:
            # feats end with the trunk's last, which is no stage
            feat = acts.feats[stage - 1]
            attention = feat.detach().mean(1, keepdim=True)
            keep = keep_below(attention, self.erase_threshold, self.relative)
            again = rerun(feat * keep, frozen=False, stage=stage)
            erased.append(self.cls_loss(again, target)['loss_cls'])
            kept.append(keep.float().mean())
        losses['loss_erased'] = self.erase_weight * torch.stack(erased).sum()
        losses['kept'] = torch.stack(kept).mean()
        return losses
