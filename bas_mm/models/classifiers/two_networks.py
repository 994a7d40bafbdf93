"""Boxes from one network, classes from another."""

import os.path as osp
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmengine.model import BaseModel
from mmpretrain.structures import DataSample
from torch import nn

from bas_mm.models.classifiers.building import build_module, with_type
from bas_mm.models.classifiers.localizer import Detail, Localizer
from bas_mm.models.classifiers.wsol import WSOLClassifier
from bas_mm.models.rerun import frozen_call
from bas_mm.registry import MODELS
from bas_mm.structures import Acts
from bas_mm.utils.loading import require_loaded

PARTS = ('localizer', 'classifier')


@MODELS.register_module()
class TwoNetworks(Localizer, BaseModel):
    """A localizer beside a classifier (PSOL, SPOL, C2AM, ORNet, GC-Net).

    Scores and predicted classes are the classifier's, maps and boxes the
    localizer's. Each normalizes the views as it was trained to. They share
    nothing and may be trained apart, each by a config of its own; or here, one
    or both (``learn``), each by its own loss on the same views. A localizer may
    then ask the classifier about masked views, see
    :meth:`bas_mm.models.rerun.Rerun.judge`.

    Args:
        localizer: A :class:`bas_mm.models.WSOLClassifier`, or its config; its
            head may know one class alone (class-agnostic maps).
        classifier: Any image classifier, or its config.
        data_preprocessor: Defaults to one that only stacks the views.
        learn: Which of ``'localizer'`` and ``'classifier'`` are trained. The
            other, if one is, stays in evaluation mode and as it is.
        **kwargs: Passed to :class:`mmengine.model.BaseModel`.

    Raises:
        ValueError: If both know several classes, but not as many; or
            ``learn`` names something else.
    """

    def __init__(
        self,
        localizer: Any,
        classifier: Any,
        data_preprocessor: dict[str, Any] | nn.Module | None = None,
        learn: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(data_preprocessor=with_type(data_preprocessor), **kwargs)
        self.localizer: WSOLClassifier = build_module(localizer)
        self.classifier = build_module(classifier)
        ours = self.localizer.head.num_classes
        if ours not in (1, self.num_classes):
            raise ValueError(
                f'The classifier knows {self.num_classes} classes and the localizer '
                f'{ours}: set `model.localizer.head.num_classes` to the same, or to 1 '
                'for maps of no class.'
            )
        self.learn = (learn,) if isinstance(learn, str) else tuple(learn)
        if set(self.learn) - set(PARTS):
            raise ValueError(
                f'`model.learn` names {list(self.learn)}: it takes '
                f'{" and ".join(map(repr, PARTS))}, one or both.'
            )
        for part in self._fixed():
            part.requires_grad_(False)

    def _fixed(self) -> Iterator[nn.Module]:
        """Give the part that does not learn while the other does."""
        if self.learn:
            yield from (getattr(self, name) for name in {*PARTS} - {*self.learn})

    def train(self, mode: bool = True) -> 'TwoNetworks':
        """Set the mode of training; a part that does not learn has none."""
        super().train(mode)
        for part in self._fixed():
            part.eval()
        return self

    @property
    def head(self) -> Any:
        """The localizer's head, whose test options are the defaults."""
        return self.localizer.head

    @property
    def num_classes(self) -> int:
        """Number of classes that the model knows."""
        # a TimmClassifier has no head, but a model of timm
        part = getattr(self.classifier, 'head', None) or self.classifier.model
        return part.num_classes

    def init_weights(self) -> None:
        """Initialize; pretrained weights must reach the trunks.

        Raises:
            ValueError: If a ``Pretrained`` init left a convolution of a trunk
                without weights, or a part that is not trained has none.
            FileNotFoundError: If the file of a part is not there.
        """
        for name in PARTS if self.learn else ():
            _require_weights(name, getattr(self, name), name in self.learn)
        trunk = getattr(self.classifier, 'backbone', self.classifier)
        with require_loaded(trunk, 'model.classifier.backbone'):
            super().init_weights()

    def forward(
        self,
        inputs: torch.Tensor,
        data_samples: list[DataSample] | None = None,
        mode: str = 'tensor',
        crops: torch.Tensor | None = None,
        detail: Detail = None,
    ) -> Any:
        """Enter from the runner.

        Args:
            inputs: Views, not normalized, ``(B, 3, H, W)``.
            data_samples: One for each view.
            mode: 'tensor' gives the classifier's logits ``(B, C)``, 'loss' a
                dict of losses, 'predict' a list of samples.
            crops: Other crops of the same images, ``(B, n, 3, H, W)``.
            detail: What the views show, in the images' own pixels.
        """
        if mode == 'predict':
            return self.predict(inputs, data_samples, crops=crops, detail=detail)
        if mode == 'tensor':
            return self._logits(inputs)
        return self.loss(inputs, data_samples or [])

    def loss(
        self, inputs: torch.Tensor, data_samples: list[DataSample]
    ) -> dict[str, torch.Tensor]:
        """Give the losses of the parts that learn.

        Args:
            inputs: Views, not normalized, ``(B, 3, H, W)``.
            data_samples: With what the parts learn from.

        Returns:
            Of both parts; where both have a name, the localizer's begins with
            ``loc_``.

        Raises:
            ValueError: If none is to learn.
        """
        if not self.learn:
            raise ValueError(
                'TwoNetworks is put together from trained networks: train each by a '
                'config of its own, then test both together; or name the parts that '
                'are to learn, `model.learn=localizer,classifier`.'
            )
        losses: dict[str, torch.Tensor] = {}
        views = _prepare(self.classifier, inputs)
        if 'classifier' in self.learn:
            losses.update(self.classifier.loss(views, data_samples))
        if 'localizer' in self.learn:

            def judge(mask: torch.Tensor) -> torch.Tensor:
                return frozen_call(
                    [self.classifier], lambda: self.classifier(views * mask).float()
                )

            ours = _prepare(self.localizer, inputs)
            more = self.localizer.loss(ours, data_samples, judge)
            names = {name: f'loc_{name}' if name in losses else name for name in more}
            losses.update((names[name], value) for name, value in more.items())
        return losses

    def score(
        self, inputs: torch.Tensor, crops: torch.Tensor | None = None
    ) -> tuple[Acts, torch.Tensor, torch.Tensor]:
        """Run both networks, see :meth:`Localizer.score`."""
        acts = self.localizer.score(_prepare(self.localizer, inputs))[0]
        view_scores = self._logits(inputs).softmax(1)
        if crops is None:
            return acts, view_scores, view_scores
        crop_scores = self._logits(crops.flatten(0, 1)).softmax(1)
        crop_scores = crop_scores.unflatten(0, (len(inputs), -1))
        return (
            acts,
            view_scores,
            torch.cat([view_scores[:, None], crop_scores], 1).mean(1),
        )

    def maps(
        self,
        acts: Acts,
        inputs: torch.Tensor,
        classes: torch.Tensor,
        detail: Detail = None,
    ) -> torch.Tensor:
        """Give the localizer's maps, see :meth:`Localizer.maps`."""
        if self.head.num_classes == 1:
            classes = torch.zeros_like(classes[:, :1])
        views = _prepare(self.localizer, inputs)
        return self.localizer.maps(acts, views, classes, detail)

    def _logits(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.classifier(_prepare(self.classifier, inputs)).float()


def _prepare(network: Any, inputs: torch.Tensor) -> torch.Tensor:
    """Normalize views as a network was trained to see them."""
    return network.data_preprocessor(dict(inputs=inputs))['inputs']


def _require_weights(name: str, part: nn.Module, learns: bool) -> None:
    """Check that weights are there: all that are named, and of what is not trained."""
    init = getattr(part, 'init_cfg', None) or {}
    path = init.get('checkpoint') if isinstance(init, dict) else None
    option = f'model.{name}.init_cfg.checkpoint'
    if not path:
        if learns:
            return
        raise ValueError(
            f'The {name} does not learn here (model.learn) and has no weights: give '
            f'those of a training with --cfg-options {option}=FILE '
            f'model.{name}.init_cfg.type=Pretrained.'
        )
    if '://' not in path and not osp.isfile(path):
        begins = 'begins' if learns else 'does not learn here (model.learn), but comes'
        raise FileNotFoundError(
            f'The {name} {begins} with the weights of a training of its own, which are '
            f'not there: {path}. Train it first, or give the file with --cfg-options '
            f'{option}=FILE.'
        )
