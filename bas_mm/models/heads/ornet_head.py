"""ORNet: a U-Net's attention inside a classifier, then judged by another."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from torch import nn

from bas_mm.models.erasing import attentive_erasing
from bas_mm.models.heads.cam_head import CAMHead, batch_accuracy, zero_of
from bas_mm.models.heads.loc_head import AgnosticHead, ForegroundActs, Losses
from bas_mm.models.rerun import Rerun
from bas_mm.registry import MODELS
from bas_mm.structures import Acts


class UNetGenerator(nn.Module):
    """Reads an attention map and a map for each class from shallow features.

    Three times down and three times up again, to the size of what came before
    the way down, whatever that is.

    Args:
        in_channels: Channels of the features.
        num_classes: Channels of the last way up, one for each class.
        width: Base of the channels: 2, 4 and 8 times this on the way down, 4
            and 3 times on the way up (the authors: 64).
        momentum: Of BatchNorm's statistics (the authors: 0.01). They need some
            hundred steps at 0.01.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        width: int = 64,
        momentum: float = 0.01,
    ) -> None:
        super().__init__()

        def convs(before: int, after: int) -> nn.Sequential:
            layer = dict(
                kernel_size=3,
                padding=1,
                norm_cfg=dict(type='BN', momentum=momentum),
                act_cfg=dict(type='LeakyReLU'),
            )
            return nn.Sequential(
                ConvModule(before, after, **layer), ConvModule(after, after, **layer)
            )

        down = [in_channels, 2 * width, 4 * width, 8 * width]
        up = [down[3], 4 * width, 3 * width, num_classes]
        self.downs = nn.ModuleList(convs(down[i], down[i + 1]) for i in range(3))
        self.ups = nn.ModuleList(
            convs(up[i] + down[2 - i], up[i + 1]) for i in range(3)
        )
        self.attention = nn.Sequential(
            nn.Conv2d(num_classes, 1, 3, padding=1),
            nn.BatchNorm2d(1, momentum=momentum),
        )

    def forward(self, feat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Give both kinds of maps.

        Args:
            feat: Features, ``(B, N, h, w)``.

        Returns:
            The attention in (0, 1), ``(B, 1, h, w)`` float32, and the channels
            of the classes it is read from, ``(B, C, h, w)``.
        """
        levels = [feat]
        for down in self.downs:
            levels.append(down(F.max_pool2d(levels[-1], 2, ceil_mode=True)))
        maps = levels.pop()
        for up in self.ups:
            skip = levels.pop()
            maps = F.interpolate(
                maps, skip.shape[2:], mode='bilinear', align_corners=True
            )
            maps = up(torch.cat([maps, skip], 1))
        return self.attention(maps).float().sigmoid(), maps


@MODELS.register_module()
class ORNetHead(CAMHead):
    """Learns an attention inside a classifier (ORNet's first stage).

    Xie et al., "Online Refinement of Low-Level Feature Based Activation Map
    for Weakly Supervised Object Localization", ICCV 2021. The authors have
    published the network of this stage, not its training: the losses here are
    a reading. The trunk is cut right behind its stem (``model.neck.start``).
    A U-Net reads its features; they pass the rest of the trunk as they are,
    which gives the scores, and a second time multiplied by the attention.
    Nothing here rewards a small map, and a learned scale of the attention would
    make it a constant: its BatchNorm stays without one, so that the attention
    of a batch is around 0.5.

    Args:
        *args: Those of :class:`bas_mm.models.CAMHead`.
        map_channels: Channels of the stem's features.
        width: Of the U-Net, see :class:`UNetGenerator`.
        momentum: Of the U-Net's BatchNorm.
        **kwargs: Other arguments of :class:`bas_mm.models.CAMHead`.
    """

    needs_label = True

    def __init__(
        self,
        *args: Any,
        map_channels: int,
        width: int = 64,
        momentum: float = 0.01,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        n = self.num_classes
        self.generator = UNetGenerator(map_channels, n, width, momentum)
        self.generator.attention[1].requires_grad_(False)
        self.classifier_of_maps = nn.Conv2d(n, n, 1)

    def class_maps(self, acts: Acts, classes: torch.Tensor) -> torch.Tensor:
        """Give the attention for each asked class.

        Args:
            acts: Of :meth:`forward`; the stem's features are the last but one.
            classes: Class indices, ``(B, K)``; only their number counts.

        Returns:
            float32 maps in (0, 1), ``(B, K, h, w)``, one and the same.
        """
        attention = self.generator(acts.feats[-2])[0]
        return attention.expand(-1, classes.shape[1], -1, -1)

    def loss(self, acts: Acts, target: torch.Tensor, rerun: Rerun) -> Losses:
        """Give ``loss_cls``, ``loss_map`` and ``loss_masked``.

        Args:
            acts: Of :meth:`forward`.
            target: Labels, ``(B,)``.
            rerun: Runs the rest of the trunk, and the classifier, again.

        Returns:
            The classification losses of the plain pass, of the U-Net's channels
            and of the masked pass; for the log ``acc`` and ``acc_masked``
            (percent), and ``map_area``, the mean attention.
        """
        attention, maps = self.generator(acts.feats[-2])
        masked = rerun(acts.feats[-2] * attention, frozen=False).logits
        of_maps = self.pool(self.classifier_of_maps(maps))
        return dict(
            super().cls_loss(acts, target),
            loss_map=self.loss_module(of_maps, target),
            loss_masked=self.loss_module(masked, target),
            acc_masked=batch_accuracy(masked, target),
            map_area=attention.detach().mean(),
        )

    def cls_loss(self, acts: Acts, target: torch.Tensor) -> Losses:
        """Give the loss of the plain pass alone; the others are 0."""
        unused = zero_of(self.generator, self.classifier_of_maps)
        return dict(super().cls_loss(acts, target), loss_map=unused)


@dataclass(frozen=True)
class ORNetActs(ForegroundActs):
    """:class:`bas_mm.models.heads.loc_head.ForegroundActs`, with classes.

    Attributes:
        channels: The U-Net's, one for each class, ``(B, C, h, w)``.
    """

    channels: torch.Tensor | None = None


@MODELS.register_module()
class ORNetRefineHead(AgnosticHead):
    """Refines the attention of :class:`ORNetHead` (ORNet's second stage).

    Xie et al., ICCV 2021. The classifier of
    :class:`bas_mm.models.TwoNetworks`, whose weights are constants, must
    recognize the label in the view multiplied by the attention, of which parts
    are erased (:func:`bas_mm.models.attentive_erasing`). Of the U-Net only the
    last two ways up and the attention learn; the rest keeps its weights and
    statistics. The trunk ends with its stem (``model.neck.end``).

    Args:
        num_classes: Those of the classifier.
        map_channels: Channels of the stem's features.
        width: As in the first stage.
        momentum: Of BatchNorm in what learns.
        loss: The losses beside the classifier's. Defaults to
            ``dict(type='bas_mm.ORNetLoss')``.
        **options: Test options and ``init_cfg``, see
            :class:`bas_mm.models.heads.loc_head.LocHead`.

    Raises:
        ValueError: If weights are loaded that have not all of the U-Net.
    """

    needs_label = True

    def __init__(
        self,
        num_classes: int,
        map_channels: int,
        width: int = 64,
        momentum: float = 0.01,
        loss: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.num_classes = num_classes
        self.generator = UNetGenerator(map_channels, num_classes, width, momentum)
        self.loss_module = MODELS.build(loss or dict(type='bas_mm.ORNetLoss'))
        for part in self._kept():
            part.requires_grad_(False)
        self._register_load_state_dict_pre_hook(self._require_generator)

    def _require_generator(self, state_dict: dict, prefix: str, *args: Any) -> None:
        """Refuse weights without the U-Net, most of which would not learn."""
        lost = [
            name
            for name, ours in self.generator.state_dict(prefix='generator.').items()
            if getattr(state_dict.get(prefix + name), 'shape', None) != ours.shape
        ]
        if lost:
            raise ValueError(
                f'The weights have nothing that fits for {len(lost)} of the U-Net of '
                f'{type(self).__name__}, {lost[0]!r} among them: give those of a '
                'training of bas_mm.ORNetHead with the same trunk, `num_classes` and '
                '`width` (`model.localizer.init_cfg.checkpoint`).'
            )

    def _kept(self) -> Sequence[nn.Module]:
        """Give what does not learn of the U-Net."""
        return self.generator.downs, self.generator.ups[0]

    def train(self, mode: bool = True) -> 'ORNetRefineHead':
        """Set the mode; what does not learn stays in eval mode."""
        super().train(mode)
        for part in self._kept():
            part.eval()
        return self

    def forward(self, feats: Sequence[torch.Tensor]) -> ORNetActs:
        """Give the attention, with logits of 0.

        Args:
            feats: Feature maps of the neck, the stem's last.
        """
        attention, maps = self.generator(feats[-1])
        logits = self.no_logits(feats)
        return ORNetActs(tuple(feats), logits, None, attention[:, 0], maps)

    def loss(self, acts: Acts, target: torch.Tensor, rerun: Rerun) -> Losses:
        """Give ``loss_object``, and the losses of the attention itself.

        Args:
            acts: Of :meth:`forward`.
            target: Labels, ``(B,)``.
            rerun: Asks the classifier.

        Returns:
            The cross-entropy of the masked views, ``loss_entropy`` and
            ``loss_area`` of :class:`bas_mm.models.ORNetLoss`; for the log
            ``acc_object`` (percent) and ``map_area``, the mean attention.
        """
        assert isinstance(acts, ORNetActs)
        assert acts.foreground is not None and acts.channels is not None
        attention = acts.foreground[:, None]
        mask = attentive_erasing(attention)
        logits = rerun.judge(F.interpolate(mask, rerun.inputs.shape[2:]))
        return dict(
            self.loss_module(attention, logits, acts.channels),
            loss_object=F.cross_entropy(logits, target),
            acc_object=batch_accuracy(logits, target),
            map_area=attention.detach().mean(),
        )
