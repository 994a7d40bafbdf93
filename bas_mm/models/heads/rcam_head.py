"""RCAM: thresholded average pooling, clamped weights, a percentile."""

from collections.abc import Sequence
from typing import Any

import torch

from bas_mm.models.heads.cam_head import CAMActs, CAMHead
from bas_mm.registry import MODELS
from bas_mm.structures import Acts


def threshold_avg_pool(x: torch.Tensor, threshold: float) -> torch.Tensor:
    """Average each channel over the places where it is active (TAP).

    Bae, Noh, Kim, ECCV 2020. Active is what lies strictly above the share
    ``threshold`` of the channel's maximum in the image. Which places are, and
    how many, counts as constant for the gradient.

    Args:
        x: Features, ``(B, N, h, w)``.
        threshold: From 0, included, to 1, excluded.

    Returns:
        Means, ``(B, N)`` float32; 0 for a channel without an active place.

    Raises:
        ValueError: If no place could be above the threshold, or it is negative.

    Example:
        >>> threshold_avg_pool(torch.tensor([[[[0.0, 1.0, 3.0]]]]), 0.1).item()
        2.0
    """
    if not 0 <= threshold < 1:
        raise ValueError(
            'The threshold of thresholded average pooling '
            f'(model.head.pool_threshold) must be 0 or more and below 1, got '
            f'{threshold}: no place is above the maximum.'
        )
    active = x > threshold * x.detach().amax((2, 3), keepdim=True)
    total = (x * active).sum((2, 3), dtype=torch.float32)
    return total / active.sum((2, 3)).clamp(min=1)


@MODELS.register_module()
class RCAMHead(CAMHead):
    """Rethinking class activation mapping (Bae, Noh, Kim, ECCV 2020).

    Three cures for CAM: the logits are those of the features' thresholded
    averages (:func:`threshold_avg_pool`), the map leaves out negative weights
    (``clamp_weights``), and the box is cut at a share of a percentile of the
    map (``percentile``). The last two are options of every
    :class:`CAMHead`, and need no training.

    Args:
        pool_threshold: The share of a channel's maximum above which places
            are averaged.
        final_relu: Must stay False: the logits are no means of the logit maps.
        clamp_weights, threshold, percentile: See :class:`CAMHead`.
        **kwargs: The other arguments of :class:`CAMHead`.

    Raises:
        ValueError: If ``pool_threshold`` or ``final_relu`` is not allowed.
    """

    def __init__(
        self,
        *,
        pool_threshold: float = 0.1,
        final_relu: bool = False,
        clamp_weights: bool = True,
        threshold: float | str = 0.35,
        percentile: float | None = 90,
        **kwargs: Any,
    ) -> None:
        if final_relu:
            raise ValueError(
                'RCAMHead averages the features before the last convolution: set '
                '`model.head.final_relu=False`.'
            )
        threshold_avg_pool(torch.zeros(1, 1, 1, 1), pool_threshold)  # speaks up
        super().__init__(
            final_relu=final_relu,
            clamp_weights=clamp_weights,
            threshold=threshold,
            percentile=percentile,
            **kwargs,
        )
        self.pool_threshold = pool_threshold

    def forward(self, feats: Sequence[torch.Tensor]) -> Acts:
        """Classify; the logit maps are those of all places.

        Args:
            feats: Feature maps of the neck, the trunk's last one last.

        Returns:
            Logits and logit maps, beside the features.
        """
        hidden = self.classifier[:-1](feats[-1])
        last = self.classifier[-1]
        pooled = threshold_avg_pool(hidden, self.pool_threshold).to(hidden.dtype)
        logits = last(pooled[..., None, None]).flatten(1).float()
        return CAMActs(tuple(feats), logits, last(hidden), hidden)
