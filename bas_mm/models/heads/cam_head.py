"""The classification head of WSOL: logit maps, their mean, class maps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmpretrain.evaluation.metrics import Accuracy
from mmpretrain.registry import MODELS as STOCK_MODELS
from torch import nn

from bas_mm.models.heads.loc_head import LocHead, Losses
from bas_mm.models.rerun import Rerun
from bas_mm.registry import MODELS
from bas_mm.structures import Acts


@dataclass(frozen=True)
class CAMActs(Acts):
    """:class:`bas_mm.structures.Acts`, with what the last convolution reads.

    Attributes:
        hidden: Its input, ``(B, N, h, w)``; None where no map needs it.
    """

    hidden: torch.Tensor | None = None


@MODELS.register_module()
class CAMHead(LocHead):
    """Fully convolutional classification head; its logit maps are the CAMs.

    ``num_convs`` times (conv3x3 to ``mid_channels``, ReLU), a conv1x1 to one
    logit map for each class, and a ReLU (``final_relu``). The logits are the
    means of the logit maps. A class's logit map is its class activation map
    (Zhou et al., CVPR 2016), as in the fully convolutional form of CAM (ACoL,
    CVPR 2018, Sec. 3.1). So a trained classifier's linear layer is such a
    head: with ``num_convs=0`` and ``init_cfg=dict(type='Pretrained',
    checkpoint=..., prefix=NAME)``, NAME being the layer's in the checkpoint,
    it is loaded.

    A method is a subclass that changes what it has to: :meth:`forward`,
    :meth:`class_maps`, :meth:`loss`, :meth:`boxes`.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the trunk's features.
        mid_channels: Channels of the 3x3 convs.
        num_convs: Number of the 3x3 convs; 0 leaves only the conv1x1. The
            default is the head of the BAS paper.
        final_relu: ReLU on the logit maps (CVPR paper).
        topk, map_label, force_label, threshold, percentile: Defaults of the
            test options, see :class:`bas_mm.structures.TestOptions`. With
            ``threshold='auto'`` it is the number of ``calibration``.
        loss: The classification loss. Defaults to cross-entropy.
        clamp_weights: Leave the bias and the negative weights of the last
            convolution out of the maps, never out of the logits (RCAM, see
            :func:`bas_mm.models.clamped_cam`).
        kernel_size: Of the last convolution, odd; 3 is usual on the patch
            tokens of a transformer.
        init_cfg: Initialization config.

    Attributes:
        calibration (Calibration | None): What was found without boxes; saved
            with the weights and loaded with them.

    Raises:
        ValueError: If a test option or ``kernel_size`` is not allowed, or
            ``clamp_weights`` is set for a method whose maps have no class
            weights.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        mid_channels: int = 1024,
        num_convs: int = 2,
        final_relu: bool = True,
        topk: int = 1,
        map_label: str = 'gt',
        force_label: bool = False,
        threshold: float | str = 0.15,
        percentile: float | None = None,
        loss: dict[str, Any] | None = None,
        clamp_weights: bool = False,
        kernel_size: int = 1,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(
            num_classes, topk, map_label, force_label, threshold, percentile, init_cfg
        )
        if clamp_weights and type(self).class_maps is not CAMHead.class_maps:
            raise ValueError(
                f'{type(self).__name__} does not read its maps from the weights of the '
                'last convolution: leave out `model.head.clamp_weights`.'
            )
        if kernel_size % 2 == 0 or (clamp_weights and kernel_size != 1):
            raise ValueError(
                f'`model.head.kernel_size` must be odd, and 1 with '
                f'`model.head.clamp_weights`, got {kernel_size}.'
            )
        self.clamp_weights = clamp_weights
        self.final_relu = final_relu
        layers: list[nn.Module] = []
        for _ in range(num_convs):
            layers += [
                nn.Conv2d(in_channels, mid_channels, 3, padding=1),
                nn.ReLU(inplace=True),
            ]
            in_channels = mid_channels
        layers.append(
            nn.Conv2d(in_channels, num_classes, kernel_size, padding=kernel_size // 2)
        )
        if final_relu:
            layers.append(nn.ReLU(inplace=True))
        self.classifier = nn.Sequential(*layers)
        self.loss_module = STOCK_MODELS.build(loss or dict(type='CrossEntropyLoss'))
        self._register_load_state_dict_pre_hook(self._from_linear)

    @property
    def has_untrained_mean(self) -> bool:
        """Whether its map is the mean over all classes, and cross-entropy trains none.

        One map added to those of all classes changes no probability, so without a
        ReLU over them cross-entropy leaves their mean as it was at first.
        """
        return (
            type(self).class_maps is CAMHead.class_maps
            and not (self.final_relu or self.clamp_weights)
            and self.topk >= self.num_classes > 1
        )

    @property
    def _last(self) -> int:
        """Index of the last convolution."""
        return len(self.classifier) - 1 - self.final_relu

    def _from_linear(self, state_dict: dict, prefix: str, *args: Any) -> None:
        """Take a linear layer's ``weight`` and ``bias`` as the conv1x1's."""
        conv = f'{prefix}classifier.{self._last}'
        for name in ('weight', 'bias'):
            value = state_dict.pop(prefix + name, None)
            if value is not None:
                state_dict[f'{conv}.{name}'] = (
                    value[..., None, None] if value.ndim == 2 else value
                )

    @staticmethod
    def pool(logit_map: torch.Tensor) -> torch.Tensor:
        """Logit maps ``(B, C, h, w)`` to float32 logits ``(B, C)``."""
        return logit_map.mean((2, 3), dtype=torch.float32)

    def forward(self, feats: Sequence[torch.Tensor]) -> Acts:
        """Classify.

        Args:
            feats: Feature maps of the neck, the trunk's last one last.

        Returns:
            Logits and logit maps, beside the features.
        """
        if not self.clamp_weights:
            logit_map = self.classifier(feats[-1])
            return Acts(tuple(feats), self.pool(logit_map), logit_map)
        hidden = self.classifier[: self._last](feats[-1])
        logit_map = self.classifier[self._last :](hidden)
        return CAMActs(tuple(feats), self.pool(logit_map), logit_map, hidden)

    def class_maps(self, acts: Acts, classes: torch.Tensor) -> torch.Tensor:
        """Give the maps of the asked classes, before any normalization.

        Args:
            acts: Of :meth:`forward`.
            classes: Class indices, ``(B, K)``.

        Returns:
            Maps, ``(B, K, h, w)``.
        """
        if self.clamp_weights:
            hidden = getattr(acts, 'hidden', None)
            if hidden is None:
                raise ValueError(
                    f'{type(self).__name__} does not hand out what its last '
                    'convolution reads (CAMActs): leave out `model.head.clamp_weights`.'
                )
            conv: Any = self.classifier[self._last]
            return clamped_cam(hidden, conv.weight.flatten(1)[classes])
        if acts.logit_map is None:
            raise ValueError(
                f'{type(self).__name__} has no logit map to read maps from: it must '
                'override `class_maps`.'
            )
        return select_maps(acts.logit_map, classes)

    def loss(self, acts: Acts, target: torch.Tensor, rerun: Rerun) -> Losses:
        """Give the losses of a training step, weighted, and figures for the log.

        Args:
            acts: Of :meth:`forward`.
            target: Labels ``(B,)``; or, where labels were mixed, the share
                of each class, ``(B, C)``.
            rerun: Runs the trunk and this head again.

        Returns:
            What has 'loss' in its name is added up; the rest is logged.
        """
        return self.cls_loss(acts, target)

    def cls_loss(self, acts: Acts, target: torch.Tensor) -> Losses:
        """Give the loss of classification alone, and the accuracy.

        Args:
            acts: Of :meth:`forward`.
            target: As in :meth:`loss`.

        Returns:
            ``loss_cls``, and for the log ``acc`` (percent).
        """
        return dict(
            loss_cls=self.loss_module(acts.logits, target),
            acc=batch_accuracy(acts.logits, target),
        )


def clamped_cam(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Sum features with the weights of classes, those below 0 left out.

    The negative weight clamping of RCAM (Bae, Noh, Kim, ECCV 2020): channels
    that speak against a class often lie on its object.

    Args:
        x: Features, ``(B, N, h, w)``.
        weight: Class weights, ``(C, N)`` or those of a conv1x1, ``(C, N, 1, 1)``;
            or other classes for each image, ``(B, C, N)``.

    Returns:
        Maps, ``(B, C, h, w)``, without a bias.

    Example:
        >>> x = torch.tensor([1.0, 5.0]).view(1, 2, 1, 1)
        >>> clamped_cam(x, torch.tensor([[2.0, -1.0]])).item()
        2.0
    """
    if weight.ndim == 4:
        weight = weight.flatten(1)
    return (weight.clamp(min=0) @ x.flatten(2)).unflatten(2, x.shape[2:])


def select_maps(maps: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Take the maps of classes out of those of all, ``(B, C, h, w)``.

    Example:
        >>> maps = torch.arange(3.0).view(1, 3, 1, 1)
        >>> select_maps(maps, torch.tensor([[2, 0]])).flatten().tolist()
        [2.0, 0.0]
    """
    index = classes[..., None, None].expand(-1, -1, *maps.shape[2:])
    return maps.gather(1, index)


def batch_accuracy(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Give the share of right classes in percent.

    Args:
        logits: Shape ``(B, C)``.
        target: Labels ``(B,)``, or shares of the classes ``(B, C)``, of which
            the largest counts.

    Example:
        >>> batch_accuracy(torch.eye(2), torch.tensor([0, 0])).item()
        50.0
    """
    label = target if target.ndim == 1 else target.argmax(1)
    return Accuracy.calculate(logits.argmax(1), label)[0]


def zero_of(*modules: nn.Module) -> torch.Tensor:
    """Give 0, with every parameter of modules in its graph.

    DistributedDataParallel wants all parameters in each step's loss, also
    those of a term that is left out.

    Example:
        >>> abs(zero_of(nn.Linear(2, 3)).item())  # of random weights: 0 or -0
        0.0
    """
    return 0 * torch.stack([p.sum() for m in modules for p in m.parameters()]).sum()
