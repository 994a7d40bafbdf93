"""DANet: several maps for each class that must differ, on levels of a class tree."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.logging import MMLogger
from torch import nn

from bas_mm.models.heads.cam_head import CAMHead, Losses
from bas_mm.models.rerun import Rerun
from bas_mm.registry import MODELS
from bas_mm.structures import Acts


@dataclass(frozen=True)
class DANetActs(Acts):
    """:class:`bas_mm.structures.Acts`, with the maps of each level.

    Attributes:
        level_maps: For each level, the coarsest first and the classes last,
            its groups' maps, ``(B, groups, M, h, w)``.
    """

    level_maps: tuple[torch.Tensor, ...] = ()


def map_divergence(maps: torch.Tensor) -> torch.Tensor:
    """Tell how alike the maps of an image are.

    The discrepancy of DANet's divergent activation (Xue et al., ICCV 2019):
    cosines between all pairs of maps. Their sum is taken before its absolute
    value, as in the authors' code, so that maps that are opposites make up for
    maps that are alike.

    Args:
        maps: Shape ``(B, M, h, w)``.

    Returns:
        The mean over images of ``|sum of the pairs' cosines| / pairs``, a
        scalar, float32. 0 for maps that do not overlap, 1 for maps that are
        the same up to a positive factor. A map of zeros is like no other; one
        map alone has no pair: 0.

    Example:
        >>> maps = torch.tensor([[[[1.0, 0.0]], [[0.0, 2.0]], [[3.0, 0.0]]]])
        >>> map_divergence(maps).item()  # one of three pairs
        0.3333333432674408
    """
    count = maps.shape[1]
    flat = maps.float().flatten(2)
    # so that the gradient of a map of (nearly) nothing stays bounded
    unit = flat * (flat.square().sum(2, keepdim=True) + 1e-8).rsqrt()
    # |sum of all|^2 = the maps with themselves + twice the pairs
    pairs = (unit.sum(1).square().sum(1) - unit.square().sum((1, 2))) / 2
    return pairs.abs().mean() / max(1, count * (count - 1) // 2)


@MODELS.register_module()
class DANetHead(CAMHead):
    """Divergent activation network (DANet).

    Xue, Liu, Wan, Jiao, Ji, Ye, ICCV 2019. Two ideas. Each class owns several
    maps, whose mean is its logit map, and :func:`bas_mm.models.map_divergence`
    drives those of the label apart (DDA). And coarser groups of classes, levels
    of a class tree, are told apart by heads on shallower taps of the trunk
    (HDA). Without ``levels`` the first is left.

    The map of a class is the sum over the levels of the mean of ReLU of its
    maps, at the coarsest level's size. Of a coarser level it is the group that
    the class belongs to; the authors take the i-th best group of that level
    for the i-th best class. With one map and no levels, it is ReLU of CAM's.

    Args:
        maps_per_class: Number of maps of each class and group (K in the
            paper).
        levels: Groups of classes, the coarsest first: for each level the
            number of the group of every class. Each group must lie in one of
            the coarser level. If there are fewer classes than a level tells
            of, they are taken to be its first ones, and a warning says so.
        level_channels: Channels of ``model.neck.taps``, one for each level.
        level_widths: Channels inside the levels' heads.
        level_weight: Weight of each level's cross-entropy, that of the classes
            included; without levels it is 1.
        divergence_weight: Weight of the divergence.
        share: In each step, a random subset of this share of the label's maps
            has to differ.
        final_relu: As in :class:`CAMHead`; the method has none.
        **kwargs: The other arguments of :class:`CAMHead`.

    Raises:
        ValueError: If the levels are no tree, or their settings are not as
            many as they are.
    """

    needs_label = True
    ancestors: torch.Tensor

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        *,
        maps_per_class: int = 4,
        levels: Sequence[Sequence[int]] = (),
        level_channels: Sequence[int] = (),
        level_widths: Sequence[int] = (),
        level_weight: float = 0.5,
        divergence_weight: float = 0.01,
        share: float = 0.5,
        final_relu: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, in_channels, final_relu=final_relu, **kwargs)
        if not len(levels) == len(level_channels) == len(level_widths):
            raise ValueError(
                f'There are {len(levels)} `model.head.levels`, {len(level_channels)} '
                f'`level_channels` and {len(level_widths)} `level_widths`: as many '
                'of each are needed.'
            )
        self.maps_per_class = maps_per_class
        self.level_weight = level_weight if levels else 1.0
        self.divergence_weight = divergence_weight
        self.share = share
        tree = check_levels(levels, num_classes)
        ancestors = torch.tensor([*tree, list(range(num_classes))])
        self.register_buffer('ancestors', ancestors, persistent=False)
        last: Any = self.classifier[self._last]
        self.classifier[self._last] = nn.Conv2d(
            last.in_channels, num_classes * maps_per_class, 1
        )
        # named so that the schedules' keys for `head.classifier` match them, too
        self.levels = nn.ModuleDict(
            {
                f'level{i}_head': CAMHead(
                    (max(level) + 1) * maps_per_class, channels, width, final_relu=False
                )
                for i, (level, channels, width) in enumerate(
                    zip(tree, level_channels, level_widths)
                )
            }
        )

    def forward(self, feats: Sequence[torch.Tensor]) -> DANetActs:
        """Classify on each level.

        Args:
            feats: The levels' taps, then ``F``, then the trunk's last.

        Returns:
            Logits and logit maps of the classes, and the maps of each level.

        Raises:
            ValueError: If the neck has fewer taps than there are levels.
        """
        if len(feats) < len(self.levels) + 2 and len(self.levels):
            raise ValueError(
                f'DANetHead has {len(self.levels)} levels and the neck '
                f'{len(feats) - 2} taps: set `model.neck.taps` to the names of as '
                'many layers, or `model.head.levels=()`.'
            )
        nets: list[Any] = [level.classifier for level in self.levels.values()]
        level_maps = tuple(
            net(feat).unflatten(1, (-1, self.maps_per_class))
            for net, feat in zip(
                [*nets, self.classifier], [*feats[: len(nets)], feats[-1]]
            )
        )
        logit_map = level_maps[-1].mean(2)
        return DANetActs(tuple(feats), self.pool(logit_map), logit_map, level_maps)

    def own_maps(self, acts: Acts, classes: torch.Tensor) -> list[torch.Tensor]:
        """Give the maps of classes and of the groups that they belong to.

        Args:
            acts: Of :meth:`forward`.
            classes: Class indices, ``(B, K)``.

        Returns:
            For each level ``(B, K, M, h, w)``, float32, all of the size of the
            coarsest.
        """
        assert isinstance(acts, DANetActs)
        size = acts.level_maps[0].shape[3:]
        images = torch.arange(len(classes), device=classes.device)[:, None]
        found = []
        for maps, group in zip(acts.level_maps, self.ancestors):
            maps = maps[images, group[classes]].float()
            if maps.shape[3:] != size:
                flat = F.interpolate(maps.flatten(1, 2), size, mode='bilinear')
                maps = flat.unflatten(1, maps.shape[1:3])
            found.append(maps)
        return found

    def class_maps(self, acts: Acts, classes: torch.Tensor) -> torch.Tensor:
        """Give the maps of classes, see the class.

        Args:
            acts: Of :meth:`forward`.
            classes: Class indices, ``(B, K)``.

        Returns:
            float32 maps, 0 or more, ``(B, K, h, w)``.
        """
        means = [maps.relu().mean(2) for maps in self.own_maps(acts, classes)]
        return torch.stack(means).sum(0)

    def loss(self, acts: Acts, target: torch.Tensor, rerun: Rerun) -> Losses:
        """Give the losses of all levels and the divergence.

        Args:
            acts: Of :meth:`forward`.
            target: Labels, ``(B,)``.
            rerun: Not used.

        Returns:
            What :meth:`cls_loss` gives, and ``loss_divergence``.
        """
        losses = self.cls_loss(acts, target)
        maps = torch.cat(self.own_maps(acts, target[:, None]), 2)[:, 0]
        total = maps.shape[1]
        # drawn on the host: no wait for a device
        subset = torch.randperm(total)[: max(2, round(self.share * total))]
        divergence = map_divergence(maps[:, subset.to(maps.device)])
        losses['loss_divergence'] = self.divergence_weight * divergence
        return losses

    def cls_loss(self, acts: Acts, target: torch.Tensor) -> Losses:
        """Give the losses of classification on all levels.

        Returns:
            ``loss_cls`` of the classes, ``loss_level0`` and up of the groups,
            the coarsest first, and ``acc`` of the classes for the log.
        """
        assert isinstance(acts, DANetActs)
        losses = super().cls_loss(acts, target)
        losses['loss_cls'] = self.level_weight * losses['loss_cls']
        for i, maps in enumerate(acts.level_maps[:-1]):
            loss = self.loss_module(self.pool(maps.mean(2)), self.ancestors[i][target])
            losses[f'loss_level{i}'] = self.level_weight * loss
        return losses


def check_levels(levels: Sequence[Sequence[int]], num_classes: int) -> list[list[int]]:
    """Check that levels of groups are a tree, and number each level's groups anew.

    Args:
        levels: For each level, the coarsest first, the group of every class.
        num_classes: Number of classes; if a level tells of more, they are its
            first ones.

    Returns:
        The same for these classes, groups numbered from 0 in their order.

    Raises:
        ValueError: If a level tells of fewer classes, or a group lies in two
            groups of the coarser level.

    Example:
        >>> check_levels([[0, 0, 5, 5], [2, 3, 4, 4]], 4)
        [[0, 0, 1, 1], [0, 1, 2, 2]]
    """
    tree: list[list[int]] = []
    for i, level in enumerate(levels):
        if len(level) < num_classes:
            raise ValueError(
                f'`model.head.levels[{i}]` tells the group of {len(level)} classes, '
                f'and there are {num_classes} (`model.head.num_classes`).'
            )
        if len(level) > num_classes:
            MMLogger.get_current_instance().warning(
                f'`model.head.levels[{i}]` tells of {len(level)} classes, the model '
                f'has {num_classes}: they are taken to be the first ones. If they are '
                'others, set `model.head.levels`.'
            )
        part = list(level[:num_classes])
        names = sorted(set(part))
        tree.append([names.index(group) for group in part])
    for i, (coarse, fine) in enumerate(zip(tree, tree[1:])):
        parents: dict[int, int] = {}
        for label, (parent, group) in enumerate(zip(coarse, fine)):
            if parents.setdefault(group, parent) != parent:
                raise ValueError(
                    f'`model.head.levels` is no tree: the group {levels[i + 1][label]} '
                    f'of level {i + 1} lies in two groups of level {i}, see class '
                    f'{label}.'
                )
    return tree
