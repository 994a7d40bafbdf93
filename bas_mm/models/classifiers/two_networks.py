"""Boxes from one network, classes from another."""

from typing import Any

import torch
from mmengine.model import BaseModel
from mmpretrain.structures import DataSample
from torch import nn

from bas_mm.models.classifiers.building import build_module, with_type
from bas_mm.models.classifiers.localizer import Detail, Localizer
from bas_mm.models.classifiers.wsol import WSOLClassifier
from bas_mm.registry import MODELS
from bas_mm.structures import Acts
from bas_mm.utils.loading import require_loaded


@MODELS.register_module()
class TwoNetworks(Localizer, BaseModel):
    """A localizer and a classifier that were trained apart (PSOL, SPOL, GC-Net).

    Scores and predicted classes are the classifier's, maps and boxes the
    localizer's. Each normalizes the views as it was trained to. Train each by a
    config of its own.

    Args:
        localizer: A :class:`bas_mm.models.WSOLClassifier`, or its config; its
            head may know one class alone (class-agnostic maps).
        classifier: Any image classifier, or its config.
        data_preprocessor: Defaults to one that only stacks the views.
        **kwargs: Passed to :class:`mmengine.model.BaseModel`.

    Raises:
        ValueError: If both know several classes, but not as many.
    """

    def __init__(
        self,
        localizer: Any,
        classifier: Any,
        data_preprocessor: dict[str, Any] | nn.Module | None = None,
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
                without weights.
        """
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
            mode: 'tensor' gives the classifier's logits ``(B, C)``, 'predict'
                a list of samples.
            crops: Other crops of the same images, ``(B, n, 3, H, W)``.
            detail: What the views show, in the images' own pixels.

        Raises:
            ValueError: If ``mode`` is 'loss'.
        """
        if mode == 'predict':
            return self.predict(inputs, data_samples, crops=crops, detail=detail)
        if mode == 'tensor':
            return self._logits(inputs)
        raise ValueError(
            'TwoNetworks is put together from trained networks: train each by a '
            'config of its own, then test both together.'
        )

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
