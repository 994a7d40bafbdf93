"""I2C: images of one class must have like features on their objects."""

from typing import Any

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from torch import nn

from bas_mm.models.heads.cam_head import select_maps
from bas_mm.models.normalize import normalize_maps
from bas_mm.registry import MODELS
from bas_mm.structures import Acts


def seed_features(
    feat: torch.Tensor,
    label_map: torch.Tensor,
    threshold: float,
    count: int,
    random: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Take features where a map is high.

    Args:
        feat: Features, ``(B, N, h, w)``.
        label_map: A map of each image, ``(B, h, w)``.
        threshold: Places whose min-max normalized map is above it are seeds.
        count: How many to take. Where there are fewer, they repeat.
        random: Draw them, or take the first in raster order.

    Returns:
        Features, ``(B, count, N)``; and which images have any seed, ``(B,)``
        bool: one whose map is the same everywhere has none.

    Example:
        >>> feat = torch.tensor([[[[1.0, 2.0, 3.0]]]])
        >>> seeds, found = seed_features(feat, feat[:, 0], 0.4, 3, random=False)
        >>> seeds.flatten().tolist(), found.tolist()  # the places 2.0 and 3.0
        ([2.0, 3.0, 2.0], [True])
    """
    seeds = normalize_maps(label_map).flatten(1) > threshold  # (B, h * w)
    places = seeds.shape[1]
    if random:
        order = torch.rand(seeds.shape, device=seeds.device)
    else:
        order = torch.arange(places, 0, -1, device=seeds.device) / places
    n = min(count, places)
    best = (order * seeds + seeds).topk(n, dim=1).indices  # the seeds come first
    found = seeds.sum(1)
    turn = torch.arange(count, device=seeds.device) % found.clamp(1, n)[:, None]
    index = best.gather(1, turn)[:, None].expand(-1, feat.shape[1], -1)
    return feat.flatten(2).gather(2, index).transpose(1, 2), found > 0


@MODELS.register_module()
class I2CLoss(nn.Module):
    """I2C as one of ``model.aux_losses``, beside any head with a logit map.

    Inter-image communication (Zhang, Wei, Yang, ECCV 2020, `arXiv 2008.05096
    <https://arxiv.org/abs/2008.05096>`_). Batches are pairs of images of one
    class, as :class:`bas_mm.datasets.PairedClassSampler` gives them. Features
    are taken at places where the label's map is high. Those of the two images
    of a pair have to be alike (local), and their mean like the center of the
    class (global), which is a running mean. The centers are part of the state
    dict, and are the same in all processes.

    The distance to a center counts from the second time on that its class is
    seen; before, the authors take it to a random vector.

    Args:
        local_weight: Weight of the distance within pairs.
        global_weight: Weight of the distance to the center. The authors'
            script has 0.001, the default of their code is 0.01.
        seeds: Number of places of each image.
        seed_threshold: Places whose normalized map is above it are taken.
        random_seeds: Draw the places (the paper), or take the first in raster
            order (the authors' code).
        decay: A class's center moves by ``exp(-decay * n)`` towards the
            features, n counting the steps that saw the class.
        start_epoch: Epochs, counted from 0, before this one are without it:
            the maps must mean something first.

    Attributes:
        centers (Tensor): Shape ``(C, N)``.
        counts (Tensor): Steps that saw each class, ``(C,)``.
    """

    centers: torch.Tensor
    counts: torch.Tensor

    def __init__(
        self,
        local_weight: float = 0.008,
        global_weight: float = 0.001,
        seeds: int = 3,
        seed_threshold: float = 0.7,
        random_seeds: bool = True,
        decay: float = 0.002,
        start_epoch: int = 0,
    ) -> None:
        super().__init__()
        self.local_weight = local_weight
        self.global_weight = global_weight
        self.seeds = seeds
        self.seed_threshold = seed_threshold
        self.random_seeds = random_seeds
        self.decay = decay
        self.start_epoch = start_epoch
        self.checked = False

    def bind(self, model: Any) -> None:
        """Make room for a center of each class, of the trunk's channels."""
        classes, channels = model.num_classes, model.neck.feat_channels[-1]
        self.register_buffer('centers', torch.zeros(classes, channels))
        self.register_buffer('counts', torch.zeros(classes))

    def forward(
        self, acts: Acts, target: torch.Tensor, epoch: int
    ) -> dict[str, torch.Tensor]:
        """Give the losses; nothing before the first epoch of them.

        Args:
            acts: Logit maps ``(B, C, h, w)`` and features of the same size.
            target: Labels, ``(B,)``, in pairs.
            epoch: Counted from 0.

        Returns:
            ``loss_local`` and ``loss_global``, weighted.

        Raises:
            ValueError: If the batch is not of pairs, labels were mixed, or the
                head has no logit map.
        """
        if epoch < self.start_epoch:
            return {}
        if acts.logit_map is None:
            raise ValueError(
                'I2CLoss needs logit maps, and the head gives none: take it out of '
                '`model.aux_losses`.'
            )
        self._check_pairs(target)
        own = select_maps(acts.logit_map.detach(), target[:, None])[:, 0]
        feat = acts.feats[-1].float()
        options = (self.seed_threshold, self.seeds, self.random_seeds)
        seeds, found = seed_features(feat, own, *options)
        first, second = seeds[0::2], seeds[1::2]  # (B / 2, seeds, N)
        both, label = found[0::2] & found[1::2], target[0::2]
        local = F.pairwise_distance(first, second).mean(1)
        means = torch.cat([first, second], 1).mean(1)
        # a copy: the centers change before the backward pass
        distance = F.pairwise_distance(means, self.centers[label].clone())
        known = both & (self.counts[label] > 0)
        if self.training:
            self._update(means.detach(), label, both)
        return dict(
            loss_local=self.local_weight * _mean_of(local, both),
            loss_global=self.global_weight * _mean_of(distance, known),
        )

    def _check_pairs(self, target: torch.Tensor) -> None:
        """Check the form of each batch, and once the labels (a wait for them)."""
        cure = "`train_dataloader.sampler=dict(type='bas_mm.PairedClassSampler')`"
        if target.ndim != 1:
            raise ValueError(
                'I2CLoss needs one label for each image, but they come as shares of '
                'all classes: take `batch_augments` (and `to_onehot`) out of '
                '`model.data_preprocessor`, or I2CLoss out of `model.aux_losses`.'
            )
        if len(target) % 2:
            raise ValueError(
                f'I2CLoss needs pairs of images, and the batch has {len(target)}: set '
                f'an even `train_dataloader.batch_size`, and {cure}.'
            )
        if not self.checked and bool((target[0::2] != target[1::2]).any()):
            raise ValueError(
                'I2CLoss needs pairs of images of one class, one after the other, and '
                f'the batch has the labels {target.tolist()}: set {cure}.'
            )
        self.checked = True

    @torch.no_grad()
    def _update(
        self, means: torch.Tensor, label: torch.Tensor, found: torch.Tensor
    ) -> None:
        """Move the centers of the classes that were seen, in any process."""
        weight = found.to(means.dtype)
        sums = torch.zeros_like(self.centers)
        sums.index_add_(0, label, means * weight[:, None])
        pairs = torch.zeros_like(self.counts).index_add_(0, label, weight)
        all_reduce(sums)
        all_reduce(pairs)
        seen = (pairs > 0).to(means.dtype)
        rate = seen * torch.exp(-self.decay * self.counts)
        self.centers.lerp_(sums / pairs.clamp(min=1)[:, None], rate[:, None])
        self.counts += seen


def _mean_of(values: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Mean of the chosen values, 0 if there are none."""
    return (values * chosen).sum() / chosen.sum().clamp(min=1)
