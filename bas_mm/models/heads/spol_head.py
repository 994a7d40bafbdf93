"""SPOL: shallow and deep features multiplied, for a CAM and for a segmenter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from mmpretrain.structures import DataSample
from torch import nn

from bas_mm.localization.pseudo_mask import IGNORED
from bas_mm.models.heads.cam_head import CAMActs, CAMHead
from bas_mm.models.heads.loc_head import AgnosticHead, ForegroundActs, Losses
from bas_mm.models.rerun import Rerun
from bas_mm.registry import MODELS
from bas_mm.structures import Acts


def _conv(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


def _resize(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, like.shape[2:], mode='bilinear', align_corners=True)


class Fusion(nn.Module):
    """Multiplies features of several depths (SPOL, Sec. 3.1).

    Each level is weighted by channel, as the product of what the means of all
    levels say; then all are brought to ``mid_channels`` and the size of the
    first, and multiplied: what only one of them sees vanishes.

    Args:
        channels: Of each level, the shallowest first.
        mid_channels: Of the product.
    """

    def __init__(self, channels: Sequence[int], mid_channels: int = 128) -> None:
        super().__init__()
        self.means = nn.ModuleList(_conv(n, mid_channels) for n in channels)
        self.gates = nn.ModuleList(nn.Conv2d(mid_channels, n, 1) for n in channels)
        self.reduce = nn.ModuleList(_conv(n, mid_channels) for n in channels)

    def forward(
        self, levels: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Fuse.

        Args:
            levels: Features, ``(B, N, h, w)`` each, the shallowest first.

        Returns:
            The deepest level alone and the product, ``(B, mid_channels, h, w)``
            each, at the size of the first.
        """
        joint = torch.ones((), device=levels[0].device)
        for mean, level in zip(self.means, levels):
            joint = joint * mean(level.mean((2, 3), keepdim=True))
        product, deepest = joint.new_ones(()), joint
        for gate, reduce, level in zip(self.gates, self.reduce, levels):
            deepest = _resize(reduce(level * gate(joint).sigmoid()), levels[0])
            product = product * deepest
        return deepest, product


@dataclass(frozen=True)
class SPOLActs(CAMActs):
    """:class:`bas_mm.structures.Acts`, with what the deepest level says.

    Attributes:
        deep_logits: Shape ``(B, C)``, float32.
        silent: Share of zeros in the product of the levels, a scalar.
    """

    deep_logits: torch.Tensor | None = None
    silent: torch.Tensor | None = None


@MODELS.register_module()
class SPOLHead(CAMHead):
    """CAM of the product of shallow and deep features (SPOL's first stage).

    Wei et al., "Shallow Feature Matters for Weakly Supervised Object
    Localization", CVPR 2021. The features are all that the neck hands out, its
    ``taps`` first. One 1x1 convolution reads the product; in training with
    ``distill`` it reads the deepest level, too, which learns the labels, and
    the product learns from it.

    Args:
        num_classes: Number of classes.
        channels: Channels of the neck's features, in its order.
        mid_channels: Channels of the product.
        distill: Let the product learn from the deepest level (the authors on
            CUB), not from the labels (on ILSVRC).
        dropout: Of the features that are classified.
        **options: Other arguments of :class:`bas_mm.models.CAMHead`.
    """

    needs_label = True

    def __init__(
        self,
        num_classes: int,
        channels: Sequence[int],
        mid_channels: int = 128,
        distill: bool = True,
        dropout: float = 0.5,
        **options: Any,
    ) -> None:
        super().__init__(num_classes, mid_channels, num_convs=0, **options)
        self.fusion = Fusion(channels, mid_channels)
        self.dropout = nn.Dropout(dropout)
        self.distill = distill

    def forward(self, feats: Sequence[torch.Tensor]) -> SPOLActs:
        """Classify the product of the levels.

        Args:
            feats: Features of the neck, the shallowest first.
        """
        deepest, product = self.fusion(feats)
        maps = self.classifier(self.dropout(product))
        deep = None
        if self.training and self.distill:
            deep = self.pool(self.classifier(self.dropout(deepest)))
        silent = (product.detach() == 0).float().mean()
        logits = self.pool(maps)
        hidden = product if self.clamp_weights else None
        return SPOLActs(tuple(feats), logits, maps, hidden, deep, silent)

    def loss(self, acts: Acts, target: torch.Tensor, rerun: Rerun) -> Losses:
        """Give ``loss_cls`` and, with ``distill``, ``loss_distill``.

        Args:
            acts: Of :meth:`forward`.
            target: Labels, ``(B,)``.
            rerun: Not used.

        Returns:
            The losses; for the log ``acc``, and ``silent``: near 1 the product
            has died.
        """
        assert isinstance(acts, SPOLActs) and acts.silent is not None
        deep = acts.deep_logits
        losses = dict(self.cls_loss(acts, target), silent=acts.silent)
        if deep is not None:
            losses['loss_cls'] = self.loss_module(deep, target) / 2
            soft = deep.detach().softmax(1)
            losses['loss_distill'] = F.cross_entropy(acts.logits, soft) / 2
        return losses


@MODELS.register_module()
class SegHead(AgnosticHead):
    """Segments the object of no class; learns from pseudo masks (SPOL).

    Wei et al., CVPR 2021, the second stage, and of use for pseudo masks of any
    origin. The features are fused as in :class:`SPOLHead`.

    Args:
        channels: Channels of the neck's features, in its order.
        mid_channels: Channels of their product.
        **options: See :class:`bas_mm.models.AgnosticHead`.
    """

    def __init__(
        self, channels: Sequence[int], mid_channels: int = 128, **options: Any
    ) -> None:
        super().__init__(**options)
        self.fusion = Fusion(channels, mid_channels)
        self.mask = nn.Conv2d(mid_channels, 1, 1)

    def forward(self, feats: Sequence[torch.Tensor]) -> ForegroundActs:
        """Segment.

        Args:
            feats: Features of the neck, the shallowest first.

        Returns:
            Logits of the mask, ``(B, h, w)``, as ``foreground``; logits of 0.
        """
        mask = self.mask(self.fusion(feats)[1])[:, 0]
        return ForegroundActs(tuple(feats), self.no_logits(feats), foreground=mask)

    def targets(self, data_samples: Sequence[DataSample]) -> torch.Tensor:
        """Give the pseudo masks, ``(B, H, W)`` of 0, 1 and 255 (ignored).

        Raises:
            ValueError: If a sample has none.
        """
        if not all('pseudo_mask' in sample for sample in data_samples):
            raise ValueError(
                'SegHead learns from `pseudo_mask`, and a training sample has none: '
                'put bas_mm.LoadPseudoLabels with a folder of masks (`bas-mm '
                "pseudo-masks`) into the training pipeline and 'pseudo_mask' among the "
                '`algorithm_keys` of PackLocInputs.'
            )
        return torch.stack([sample.pseudo_mask for sample in data_samples])

    def loss(self, acts: Acts, target: torch.Tensor, rerun: Rerun) -> Losses:
        """Give ``loss_mask``, the binary cross-entropy of what is not ignored.

        Args:
            acts: Of :meth:`forward`.
            target: Of :meth:`targets`.
            rerun: Not used.

        Returns:
            The mean over all pixels, ignored ones with 0.
        """
        assert isinstance(acts, ForegroundActs) and acts.foreground is not None
        logits = _resize(acts.foreground.float()[:, None], target[:, None])[:, 0]
        known = (target != IGNORED).float()
        return dict(
            loss_mask=F.binary_cross_entropy_with_logits(
                logits, (target == 1).float(), known
            )
        )

    def class_maps(self, acts: Acts, classes: torch.Tensor) -> torch.Tensor:
        """Give the mask in (0, 1), ``(B, K, h, w)``, the same for each class."""
        return super().class_maps(acts, classes).sigmoid()
