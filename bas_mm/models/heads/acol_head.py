"""ACoL: a second classifier sees what the first one does not rely on."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from bas_mm.models.erasing import keep_below
from bas_mm.models.heads.cam_head import CAMHead, Losses, select_maps, zero_of
from bas_mm.models.normalize import normalize_maps
from bas_mm.models.rerun import Rerun
from bas_mm.registry import MODELS
from bas_mm.structures import Acts


@MODELS.register_module()
class ACoLHead(CAMHead):
    """Adversarial complementary learning (ACoL).

    Zhang, Wei, Feng, Yang, Huang, CVPR 2018, `arXiv 1804.06962
    <https://arxiv.org/abs/1804.06962>`_. Two classifiers of one shape, A and
    B, read the trunk's features. Where A's normalized map of the label is
    high, the features are set to zero before B reads them, so that B must
    find other parts of the object. Class scores are A's. The map of a class is
    the maximum of both normalized maps of it.

    The authors erase with the ground-truth label at test time as well. Here
    the class whose map is asked for erases, so that ``map_label='pred'`` needs
    no label. Each class that is asked for costs one pass of B.

    Args:
        erase_threshold: Places where A's map, from 0 at its minimum to 1 at
            its maximum, reaches this are erased.
        feat_pool: Size of a mean over the features (stride 1) before both
            classifiers: 3 for VGG16. None: no such mean.
        final_relu: As in :class:`CAMHead`; the method has none.
        **kwargs: The arguments of :class:`CAMHead`; the second classifier has
            the shape of the first.

    Raises:
        ValueError: If ``feat_pool`` is not odd.
    """

    needs_label = True

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        mid_channels: int = 1024,
        num_convs: int = 2,
        final_relu: bool = False,
        erase_threshold: float = 0.6,
        feat_pool: int | None = None,
        **kwargs: Any,
    ) -> None:
        shape: Any = (num_classes, in_channels, mid_channels, num_convs, final_relu)
        super().__init__(*shape, **kwargs)
        if feat_pool is not None and feat_pool % 2 == 0:
            raise ValueError(
                f'`model.head.feat_pool` must be odd, or None, got {feat_pool}.'
            )
        self.erase_threshold = erase_threshold
        self.feat_pool = feat_pool
        # named so that the schedules' keys for `head.classifier` match it, too
        self.erased_head = CAMHead(*shape)

    def forward(self, feats: Sequence[torch.Tensor]) -> Acts:
        """Classify by A.

        Args:
            feats: Feature maps of the neck, the trunk's last one last.

        Returns:
            Logits and logit maps of A, beside the features; the last are those
            that the classifiers read.
        """
        if self.feat_pool is not None:
            k = self.feat_pool
            feats = (*feats[:-1], F.avg_pool2d(feats[-1], k, 1, k // 2))
        return super().forward(feats)

    def keep(self, acts: Acts, label: torch.Tensor) -> torch.Tensor:
        """Tell where B gets to see the features; a constant, ``(B, 1, h, w)``.

        Args:
            acts: Of :meth:`forward`.
            label: The class that erases, ``(B,)``.
        """
        own = super().class_maps(acts, label[:, None]).detach().float()
        return keep_below(own, self.erase_threshold, relative='range')

    def erased_map(self, acts: Acts, label: torch.Tensor) -> torch.Tensor:
        """Give B's logit maps of the erased features, ``(B, C, h, w)``.

        Args:
            acts: Of :meth:`forward`.
            label: The class that erases, ``(B,)``.
        """
        return self.erased_head.classifier(acts.feats[-1] * self.keep(acts, label))

    def class_maps(self, acts: Acts, classes: torch.Tensor) -> torch.Tensor:
        """Give the maximum of both classifiers' normalized maps.

        Args:
            acts: Of :meth:`forward`.
            classes: Class indices, ``(B, K)``; each erases for itself.

        Returns:
            float32 maps in [0, 1], ``(B, K, h, w)``.
        """
        first = super().class_maps(acts, classes)
        second = [
            select_maps(self.erased_map(acts, one), one[:, None])
            for one in classes.unbind(1)
        ]
        return torch.maximum(
            normalize_maps(first), normalize_maps(torch.cat(second, 1))
        )

    def loss(self, acts: Acts, target: torch.Tensor, rerun: Rerun) -> Losses:
        """Give the losses of both classifiers.

        Args:
            acts: Of :meth:`forward`.
            target: Labels, ``(B,)``.
            rerun: Not used.

        Returns:
            ``loss_cls`` of A, ``loss_erased`` of B, and ``acc`` of A for the log.
        """
        losses = super().cls_loss(acts, target)
        logits = self.pool(self.erased_map(acts, target))
        losses['loss_erased'] = self.loss_module(logits, target)
        return losses

    def cls_loss(self, acts: Acts, target: torch.Tensor) -> Losses:
        """Give the loss of A alone."""
        losses = super().cls_loss(acts, target)
        losses['loss_cls'] = losses['loss_cls'] + zero_of(self.erased_head)
        return losses
