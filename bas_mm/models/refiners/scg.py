"""SCG: maps from the similarity of places, seeded by a map."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from bas_mm.registry import MODELS
from bas_mm.structures import Acts


def minmax(x: torch.Tensor, dim: int | tuple[int, ...], eps: float) -> torch.Tensor:
    """Min-max normalize over dimensions; what is constant becomes 0.

    Example:
        >>> minmax(torch.tensor([[1.0, 3.0], [2.0, 2.0]]), 1, 1e-10).tolist()
        [[0.0, 1.0], [0.0, 0.0]]
    """
    x = x - x.amin(dim, keepdim=True)
    return x / (x.amax(dim, keepdim=True) + eps)


def _correlation(
    feat: torch.Tensor,
    first_threshold: float,
    second_threshold: float,
    second_weight: float,
    order: int,
) -> torch.Tensor:
    """Join first and second order of one map, ``(B, N, h, w)`` to ``(B, n, n)``.

    Column j says how much each place belongs to place j.
    """
    x = feat.flatten(2).float()
    n = x.shape[2]
    x = x / (x.norm(dim=1, keepdim=True) + 1e-10)
    sim = (x.transpose(1, 2) @ x).relu()  # (B, n, n)
    sim = sim * (sim >= first_threshold)
    first = sim / (sim.sum(1, keepdim=True) + 1e-5)
    step = sim * (1 - torch.eye(n, device=sim.device))
    step = step / (step.sum(1, keepdim=True) + 1e-5)
    second = step
    for _ in range(order - 1):
        second = second @ step
        second = second / (second.sum(1, keepdim=True) + 1e-10)
    second = second * (second >= second_threshold / n)
    joint = torch.maximum(first, second_weight * second)
    return joint / (joint.sum(1, keepdim=True) + 1e-10)


def scg(
    feats: Sequence[torch.Tensor],
    cam: torch.Tensor,
    first_threshold: float = 0.1,
    second_threshold: float = 0.5,
    second_weight: float = 2.0,
    order: int = 2,
    fg_threshold: float = 0.1,
    bg_threshold: float = 0.05,
) -> torch.Tensor:
    """Give maps of self-correlation (SCG).

    Pan et al., CVPR 2021, Sec. 3.3. The places that a map calls object vote
    for all that are like them, those that it calls background vote against.
    Likeness is the cosine of the features (first order) and steps from place
    to place along it (second order). The defaults are the authors' on CUB; on
    ILSVRC they take 0.2, 0.2, 1, 2, 0.1, 0.05.

    Args:
        feats: Feature maps, ``(B, N, h, w)`` each, of one size; N may differ.
            Their correlations are added up.
        cam: The map that seeds, ``(B, h, w)`` in [0, 1].
        first_threshold: Cosines below it count as 0.
        second_threshold: Second-order values below this number divided by
            ``h * w`` count as 0.
        second_weight: Weight of the second order against the first.
        order: Length of a walk; 1 takes single steps.
        fg_threshold: Seeds of the object have at least this value.
        bg_threshold: Seeds of the background have at most this value.

    Returns:
        Maps, ``(B, h, w)`` float32 in [0, 1]; zeros where a map has no seed of
        the object.

    Raises:
        ValueError: If sizes differ, or ``order`` is below 1.

    Example:
        >>> feat = torch.tensor([[[[1.0, 1.0, 0.0]], [[0.0, 0.0, 1.0]]]])
        >>> scg([feat], torch.tensor([[[1.0, 0.3, 0.0]]])).round().tolist()
        [[[1.0, 1.0, 0.0]]]
    """
    if order < 1:
        raise ValueError(
            f'`order` of SCG (model.refiner.order) must be 1 or more, got {order}.'
        )
    sizes = [tuple(feat.shape[2:]) for feat in feats]
    if set(sizes) != {tuple(cam.shape[1:])}:
        raise ValueError(
            f'SCG needs features and map of one size, got {sizes} and a map of '
            f'{tuple(cam.shape[1:])}.'
        )
    joint = torch.stack(
        [
            _correlation(feat, first_threshold, second_threshold, second_weight, order)
            for feat in feats
        ]
    ).sum(0)
    votes = minmax(joint, 1, 1e-10)
    seeds = cam.flatten(1)
    # (B, n, n) @ (B, n, 2): sums over the columns of the seeds
    chosen = torch.stack([seeds >= fg_threshold, seeds <= bg_threshold], 2)
    sums = minmax(votes @ chosen.float(), 1, 1e-10)
    refined = minmax((sums[..., 0] - sums[..., 1]).relu(), 1, 1e-10)
    return refined.view(cam.shape)


@MODELS.register_module()
class SCGRefiner(nn.Module):
    """:func:`bas_mm.models.scg` as ``model.refiner``, for any trained model.

    The map is cut at another height than before: 0.3 to 0.4 instead of 0.2, say
    (``model.head.threshold``).

    Args:
        feats: Which of the head's features: -1 is the trunk's last, -2 ``F``,
            before them the taps. All come to the size of the last.
        **options: The arguments of :func:`bas_mm.models.scg`.
    """

    def __init__(self, feats: Sequence[int] = (-2, -1), **options: float | int) -> None:
        super().__init__()
        self.feats = tuple(feats)
        self.options = options

    def refine(
        self,
        maps: torch.Tensor,
        acts: Acts,
        inputs: torch.Tensor,
        classes: torch.Tensor,
    ) -> torch.Tensor:
        """Refine maps.

        Args:
            maps: Shape ``(B, h, w)``. What is below 0 counts as 0, unless
                nothing is above it.
            acts: Activations; ``feats`` is read.
            inputs: Views, not read.
            classes: Not read.

        Returns:
            Maps in [0, 1], at the size of the trunk's last features.
        """
        h, w = acts.feats[-1].shape[2:]
        chosen = [
            F.adaptive_avg_pool2d(acts.feats[i].float(), (h, w)) for i in self.feats
        ]
        above = maps.amax((1, 2), keepdim=True) > 0
        cam = minmax(torch.where(above, maps.relu(), maps), (1, 2), 1e-10)
        cam = F.interpolate(cam[:, None], (h, w), mode='bilinear', align_corners=False)[
            :, 0
        ]
        # sums over all places, compared with thresholds: too fine for bfloat16
        with torch.autocast(cam.device.type, enabled=False):
            return scg(chosen, cam, **self.options)  # type: ignore[arg-type]
