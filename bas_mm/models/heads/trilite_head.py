"""TriLite: foreground, background and what is neither, on a frozen trunk."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from bas_mm.models.heads.cam_head import CAMHead, Losses, zero_of
from bas_mm.models.rerun import Rerun
from bas_mm.registry import MODELS
from bas_mm.structures import Acts


def masked_mean(feat: torch.Tensor, maps: torch.Tensor, eps: float) -> torch.Tensor:
    """Average features by the weights of maps.

    Args:
        feat: Features, ``(B, N, h, w)``.
        maps: Weights of 0 or more, ``(B, M, h, w)``.
        eps: Added to the sum of the weights.

    Returns:
        Shape ``(B, M, N)`` float32.

    Example:
        >>> feat = torch.tensor([[[[1.0, 3.0]]]])
        >>> masked_mean(feat, torch.tensor([[[[0.0, 0.5]], [[1.0, 1.0]]]]), 0.0)
        tensor([[[3.],
                 [2.]]])
    """
    weight = maps.flatten(2).float()  # (B, M, n)
    total = weight @ feat.flatten(2).transpose(1, 2).float()
    return total / (weight.sum(2, keepdim=True) + eps)


def away_from(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Give how much logits speak for a label: ``-log(1 - p)``, the mean.

    Args:
        logits: Shape ``(B, C)``.
        label: Shape ``(B,)``.

    Returns:
        A scalar. With a single class it is 0: there is no other to be.

    Example:
        >>> round(away_from(torch.zeros(1, 2), torch.tensor([0])).item(), 4)
        0.6931
    """
    logits = logits.float()
    if logits.shape[1] == 1:
        return 0 * logits.sum()
    # log(1 - p) without the digits that 1 - p loses
    others = logits.scatter(1, label[:, None], float('-inf')).logsumexp(1)
    return (logits.logsumexp(1) - others).mean()


@dataclass(frozen=True)
class TriLiteActs(Acts):
    """:class:`bas_mm.structures.Acts`, with the three maps.

    Attributes:
        regions: Foreground, background, ambiguous, ``(B, 3, h, w)``; they add
            up to 1.
    """

    regions: torch.Tensor | None = None


@MODELS.register_module()
class TriLiteHead(CAMHead):
    """TriLite (CVPR 2026), `arXiv 2602.23120 <https://arxiv.org/abs/2602.23120>`_.

    A convolution, a norm and a softmax part the patch tokens into foreground,
    background and what is ambiguous. The mean feature of the foreground must be
    of the class, that of the background must not; the ambiguous part is free.
    Class scores are those of the class token. The map is the foreground, the
    same for every class.

    Built from the abstract's facts: the kernel of the convolution, the norm's kind
    and the weights of the losses are choices made here.

    Args:
        num_classes, in_channels: As in :class:`CAMHead`.
        cls_token: The neck hands out the class token
            (:class:`bas_mm.models.TokenNeck`). False: the mean of the
            features stands in for it.
        kernel_size: Of the convolution to the three maps, odd.
        fg_weight, bg_weight: Weights of the losses of the two regions.
        eps: Added where a feature is divided by the sum of a map.
        **kwargs: The other arguments of :class:`CAMHead`; ``num_convs`` and
            ``final_relu`` have no meaning here.

    Raises:
        ValueError: If an option is not allowed.
    """

    needs_label = True

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        *,
        cls_token: bool = True,
        kernel_size: int = 3,
        fg_weight: float = 1.0,
        bg_weight: float = 1.0,
        eps: float = 1e-6,
        **kwargs: Any,
    ) -> None:
        kwargs.update(num_convs=0, final_relu=False)
        super().__init__(num_classes, in_channels, **kwargs)
        for name, weight in (('fg_weight', fg_weight), ('bg_weight', bg_weight)):
            if not weight >= 0:
                raise ValueError(
                    f'`model.head.{name}` must be 0 or more, got {weight}.'
                )
        if kernel_size % 2 == 0:
            raise ValueError(
                f'`model.head.kernel_size` must be odd, got {kernel_size}.'
            )
        self.cls_token = cls_token
        self.fg_weight = fg_weight
        self.bg_weight = bg_weight
        self.eps = eps
        self.regions = nn.Sequential(
            nn.Conv2d(in_channels, 3, kernel_size, padding=kernel_size // 2),
            nn.BatchNorm2d(3),
        )
        self.region_classifier = nn.Linear(in_channels, num_classes)

    def forward(self, feats: Sequence[torch.Tensor]) -> Acts:
        """Classify, and part the patches.

        Args:
            feats: Of the neck: the class token first, the patch tokens last.

        Returns:
            Logits and regions, beside the features.

        Raises:
            ValueError: If there is no class token among the features.
        """
        last = feats[-1]
        if not self.cls_token:
            token = last.mean((2, 3), keepdim=True)
        elif len(feats) > 2 and feats[0].shape[2:] == (1, 1):
            token = feats[0]
        else:
            raise ValueError(
                'TriLiteHead needs the class token: set '
                "`model.neck.type='bas_mm.TokenNeck'` and `model.neck.cls_token=True`, "
                'or `model.head.cls_token=False` to take the mean of '
                'the features.'
            )
        logits = self.classifier(token).flatten(1).float()
        regions = self.regions(last).float().softmax(1)
        return TriLiteActs(tuple(feats), logits, None, regions)

    def class_maps(self, acts: Acts, classes: torch.Tensor) -> torch.Tensor:
        """Give the foreground, the same for each class.

        Args:
            acts: Of :meth:`forward`.
            classes: Class indices, ``(B, K)``; only their number counts.

        Returns:
            Maps in (0, 1), ``(B, K, h, w)``.
        """
        assert isinstance(acts, TriLiteActs) and acts.regions is not None
        return acts.regions[:, :1].expand(-1, classes.shape[1], -1, -1)

    def loss(self, acts: Acts, target: torch.Tensor, rerun: Rerun) -> Losses:
        """Give the losses of the class token and of the two regions.

        Args:
            acts: Of :meth:`forward`.
            target: Labels, ``(B,)``.
            rerun: Not used.

        Returns:
            ``loss_cls``, ``loss_fg``, ``loss_bg``, weighted, and for the log
            ``acc`` and the means of the maps.
        """
        assert isinstance(acts, TriLiteActs) and acts.regions is not None
        losses = super().cls_loss(acts, target)
        means = masked_mean(acts.feats[-1], acts.regions[:, :2], self.eps)
        fg, bg = self.region_classifier(means).float().unbind(1)
        losses['loss_fg'] = self.fg_weight * self.loss_module(fg, target)
        losses['loss_bg'] = self.bg_weight * away_from(bg, target)
        areas = acts.regions.detach().mean((0, 2, 3))
        losses.update(zip(('fg_area', 'bg_area', 'ambiguous_area'), areas))
        return losses

    def cls_loss(self, acts: Acts, target: torch.Tensor) -> Losses:
        """Give the loss of the class token alone."""
        losses = super().cls_loss(acts, target)
        unused = zero_of(self.regions, self.region_classifier)
        losses['loss_cls'] = losses['loss_cls'] + unused
        return losses
