"""What every WSOL method shares: from views to losses and maps."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.logging import MessageHub
from mmpretrain.models import ImageClassifier
from mmpretrain.structures import DataSample
from torch import nn

from bas_mm.models.classifiers.building import build_module, with_type
from bas_mm.models.classifiers.localizer import Detail, Localizer
from bas_mm.models.necks.split_neck import SplitNeck
from bas_mm.models.rerun import Judge, Rerun
from bas_mm.registry import MODELS
from bas_mm.structures import Acts
from bas_mm.utils.loading import require_loaded


@MODELS.register_module()
class WSOLClassifier(Localizer, ImageClassifier):
    """A classifier that also says where.

    A method is its head: what the head does with the features (loss, class
    maps, boxes) is what tells methods apart. Everything after the map
    (metrics, drawings, reports) knows maps, not methods.

    Args:
        backbone: A stock backbone.
        neck: A :class:`bas_mm.models.SplitNeck`.
        head: A head such as :class:`bas_mm.models.CAMHead`.
        data_preprocessor: Defaults to
            ``dict(type='bas_mm.WSOLDataPreprocessor')``; its number of classes
            (for mixed labels) to the head's.
        aux_losses: Losses that are added to the head's, whatever it is: each
            a module with ``forward(acts, target, epoch) -> dict`` of weighted
            losses, or its config.
        refiner: A module (or its config) with ``refine(maps, acts, inputs,
            classes) -> maps``, which changes the maps, ``(B, h, w)`` float32,
            after the mean over classes ``(B, K)`` and before the boxes. One of
            these that has a method ``bind(model)`` is handed the model once; a
            refiner with ``reads_detail = True`` is handed ``detail``, too.
        **kwargs: Passed to :class:`mmpretrain.models.ImageClassifier`.

    Attributes:
        cls_only (bool): Train the classification term alone; set by
            :class:`bas_mm.engine.ClsWarmupHook`.
    """

    def __init__(
        self,
        backbone: Any,
        neck: Any,
        head: Any,
        data_preprocessor: dict[str, Any] | nn.Module | None = None,
        aux_losses: Sequence[Any] = (),
        refiner: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            backbone,
            neck,
            head,
            data_preprocessor=with_type(data_preprocessor),
            **kwargs,
        )
        if not isinstance(self.neck, SplitNeck):
            raise ValueError(
                f"`model.neck` must be a bas_mm.SplitNeck, got {neck!r}: set "
                "`model.neck=dict(type='bas_mm.SplitNeck', start=...)`."
            )
        self.neck.bind(self.backbone)
        self.aux_losses = nn.ModuleList(map(build_module, aux_losses))
        self.refiner = None if refiner is None else build_module(refiner)
        self.cls_only = False
        if getattr(self.data_preprocessor, 'num_classes', 0) is None:
            self.data_preprocessor.num_classes = self.num_classes
        for part in (*self.aux_losses, self.refiner):
            if hasattr(part, 'bind'):
                part.bind(self)
        if hasattr(self.data_preprocessor, 'memory_format'):
            self.to(memory_format=self.data_preprocessor.memory_format)

    def init_weights(self) -> None:
        """Initialize; pretrained weights must reach the trunk.

        Raises:
            ValueError: If a ``Pretrained`` init left a convolution of the
                trunk without weights.
        """
        with require_loaded(self.backbone):
            super().init_weights()

    def extract_feat(self, inputs: torch.Tensor, stage: str = 'neck') -> Any:
        """Give the features at a stage: 'backbone', 'neck' or 'pre_logits'.

        Args:
            inputs: Views, ``(B, 3, H, W)``.
            stage: 'neck' gives the taps, ``F`` and ``f2(F)``; 'pre_logits'
                the last of them.
        """
        if stage == 'backbone':
            return self.backbone(inputs)
        feats = self.neck(inputs)
        return feats if stage == 'neck' else feats[-1]

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
            inputs: Views, ``(B, 3, H, W)``.
            data_samples: One for each view.
            mode: 'tensor' gives logits ``(B, C)``, 'loss' a dict of losses,
                'predict' a list of samples.
            crops: Other crops of the same images, ``(B, n, 3, H, W)``; only
                read by 'predict'.
            detail: What the views show, in the images' own pixels; only read
                by 'predict'.
        """
        if mode == 'predict':
            return self.predict(inputs, data_samples, crops=crops, detail=detail)
        if mode == 'tensor':
            return self.head(self.neck(inputs)).logits
        return super().forward(inputs, data_samples, mode)

    def targets(self, data_samples: Sequence[DataSample]) -> torch.Tensor:
        """Give what the head's loss compares a batch with, as the head says."""
        return self.head.targets(data_samples)

    def loss(
        self,
        inputs: torch.Tensor,
        data_samples: list[DataSample],
        judge: Judge | None = None,
    ) -> dict[str, torch.Tensor]:
        """Give the losses of a batch, each already weighted.

        Args:
            inputs: Views, ``(B, 3, H, W)``.
            data_samples: With ``gt_label``, or what else the head learns from.
            judge: The other of two networks, see :class:`TwoNetworks`.

        Returns:
            Losses, and figures for the log (without 'loss' in their names),
            ``peak_logit`` among them, the largest absolute logit, where the
            head learns classes.
        """
        target = self.targets(data_samples)
        first = self.neck.run(inputs)
        acts = self.head(first.feats)
        if self.cls_only:
            losses = self.head.cls_loss(acts, target)
        else:
            rerun = Rerun(self.neck, self.head, inputs, first, judge)
            losses = self.head.loss(acts, target, rerun)
            epoch = MessageHub.get_current_instance().runtime_info.get('epoch', 0)
            for i, aux in enumerate(self.aux_losses):
                more = aux(acts, target, epoch)
                if taken := more.keys() & losses.keys():
                    raise ValueError(
                        f'model.aux_losses[{i}] ({type(aux).__name__}) gives '
                        f'{sorted(taken)}, which the head or another of them gives '
                        'too: one would be lost. Rename it.'
                    )
                losses.update(more)
        if self.head.classifies:
            losses['peak_logit'] = acts.logits.detach().abs().amax()
        return losses

    def score(
        self, inputs: torch.Tensor, crops: torch.Tensor | None = None
    ) -> tuple[Acts, torch.Tensor, torch.Tensor]:
        """Run views and crops through the network, see :meth:`Localizer.score`."""
        n = inputs.shape[0]  # not len(): an exported graph takes any number
        if crops is not None:
            inputs = torch.cat([inputs, crops.flatten(0, 1)])
        acts = self.head(self.neck(inputs))
        scores = acts.logits.softmax(1)
        view_scores = scores[:n]
        if crops is None:
            return acts, view_scores, scores
        crop_scores = scores[n:].unflatten(0, (n, -1))
        scores = torch.cat([view_scores[:, None], crop_scores], 1).mean(1)
        return acts[:n], view_scores, scores

    def maps(
        self,
        acts: Acts,
        inputs: torch.Tensor,
        classes: torch.Tensor,
        detail: Detail = None,
    ) -> torch.Tensor:
        """Give one map for each image, see :meth:`Localizer.maps`."""
        maps = self.head.class_maps(acts, classes).mean(1, dtype=torch.float32)
        if self.refiner is not None:
            closer = getattr(self.refiner, 'reads_detail', False)
            more = dict(detail=detail) if closer else {}
            maps = self.refiner.refine(maps, acts, inputs, classes, **more)
        return maps.float()

    def plain_maps(self, inputs: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """Give the maps of views as :meth:`maps` does, but not refined.

        Args:
            inputs: Views, ``(B, 3, H, W)``.
            classes: Class indices, ``(B, K)``.
        """
        maps = self.head.class_maps(self.head(self.neck(inputs)), classes)
        return maps.mean(1, dtype=torch.float32)

    def maps_of_each(
        self,
        acts: Acts,
        inputs: torch.Tensor,
        classes: torch.Tensor,
        detail: Detail = None,
    ) -> torch.Tensor:
        """Give a map for each class; at once where nothing refines them."""
        if self.refiner is None:
            return self.head.class_maps(acts, classes).float()
        return super().maps_of_each(acts, inputs, classes, detail)


@MODELS.register_module()
class BASClassifier(WSOLClassifier):
    """:class:`WSOLClassifier` under the name that BAS configs give it."""


@MODELS.register_module()
class CAMClassifier(WSOLClassifier):
    """:class:`WSOLClassifier` under the name that CAM configs give it."""
