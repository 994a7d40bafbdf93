"""From scores and class maps to data samples: what models share."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmpretrain.structures import DataSample

from bas_mm.models.classifiers.building import gt_labels
from bas_mm.structures import Acts, TestOptions

Options = Mapping[str, Any] | TestOptions | None
#: What the views show in the images' own pixels: ``(3, H, W)`` uint8 each.
Detail = Sequence[torch.Tensor] | None


class Localizer:
    """From scores and class maps to data samples: what models share.

    A model gives :meth:`score` and :meth:`maps`, and ``head``, whose test
    options are the defaults of :meth:`predict`.
    """

    head: Any

    @property
    def num_classes(self) -> int:
        """Number of classes that the model knows."""
        return self.head.num_classes

    def score(
        self, inputs: torch.Tensor, crops: torch.Tensor | None = None
    ) -> tuple[Acts, torch.Tensor, torch.Tensor]:
        """Run views and crops through the network, together.

        Args:
            inputs: Views, ``(B, 3, H, W)``.
            crops: Other crops of the same images, ``(B, n, 3, H, W)``.

        Returns:
            The activations of the views; the softmax scores of the views,
            ``(B, C)``; and the mean of those over an image's view and crops
            (the paper's ten-crop classification), ``(B, C)``.
        """
        raise NotImplementedError

    def maps(
        self,
        acts: Acts,
        inputs: torch.Tensor,
        classes: torch.Tensor,
        detail: Detail = None,
    ) -> torch.Tensor:
        """Give one map for each image: the mean over classes, refined.

        Args:
            acts: Of :meth:`score`.
            inputs: Views, ``(B, 3, H, W)``.
            classes: Class indices, ``(B, K)``.
            detail: What the views show, in the images' own pixels, for
                refiners that look closer.

        Returns:
            Maps, ``(B, h, w)`` float32, before any normalization.
        """
        raise NotImplementedError

    def class_maps(
        self, inputs: torch.Tensor, classes: torch.Tensor | Sequence[int]
    ) -> torch.Tensor:
        """Give the maps of any classes, from one pass of the trunk.

        Args:
            inputs: Views as the data preprocessor gives them, ``(B, 3, H, W)``.
            classes: Class indices, ``(B, K)``; or ``(K,)``, the same for all.

        Returns:
            Maps, ``(B, K, h, w)`` float32, before any normalization.

        Raises:
            ValueError: If there is no such class, or their shape is another.
        """
        acts, _, _ = self.score(inputs)
        return self.each_map(acts, inputs, classes)

    def each_map(
        self,
        acts: Acts,
        inputs: torch.Tensor,
        classes: torch.Tensor | Sequence[int],
        detail: Detail = None,
    ) -> torch.Tensor:
        """Do what :meth:`class_maps` does with the activations of a pass."""
        index = torch.as_tensor(classes, dtype=torch.long, device=inputs.device)
        if index.ndim == 1:
            index = index.expand(len(inputs), -1)
        if index.ndim != 2 or len(index) != len(inputs) or not index.shape[1]:
            raise ValueError(
                f'`classes` has the shape {tuple(index.shape)}; (K,) or '
                f'({len(inputs)}, K) with K of 1 or more is needed.'
            )
        total = self.num_classes
        if not 0 <= int(index.min()) <= int(index.max()) < total:
            raise ValueError(
                f'The model has the classes 0 to {total - 1} '
                f'(model.head.num_classes), asked were {index.unique().tolist()}.'
            )
        return self.maps_of_each(acts, inputs, index, detail)

    def maps_of_each(
        self,
        acts: Acts,
        inputs: torch.Tensor,
        classes: torch.Tensor,
        detail: Detail = None,
    ) -> torch.Tensor:
        """Give a map for each class, ``(B, K, h, w)``, one after the other."""
        return torch.stack(
            [
                self.maps(acts, inputs, one[:, None], detail)
                for one in classes.unbind(1)
            ],
            1,
        )

    def predict(
        self,
        inputs: torch.Tensor,
        data_samples: list[DataSample] | None = None,
        crops: torch.Tensor | None = None,
        test_cfg: Options = None,
        detail: Detail = None,
    ) -> list[DataSample]:
        """Classify and localize.

        Args:
            inputs: Views, ``(B, 3, H, W)``.
            data_samples: Where the results go. ``map_label='gt'`` reads their
                ``gt_label``.
            crops: Other crops of the same images, ``(B, n, 3, H, W)``; they
                only help to classify.
            test_cfg: Test options that win over those of ``model.head``, see
                :class:`bas_mm.structures.TestOptions`.
            detail: What the views show, in the images' own pixels, for
                refiners that look closer.

        Returns:
            With ``pred_score`` ``(C,)``, ``pred_label`` ``(1,)``, ``pred_map``
            ``(h, w)`` (low resolution, before normalization) and ``pred_bbox``
            ``(4,)``, ``xyxy`` in pixels of the view, max exclusive.

        Raises:
            ValueError: If the map of the ground-truth label is asked for and
                a sample has none, or an option is not allowed.
        """
        options = self.head.test_options(test_cfg)
        if data_samples is None:
            data_samples = [DataSample() for _ in inputs]
        acts, view_scores, scores = self.score(inputs, crops)
        pred_label = scores.argmax(1)
        label = _map_labels(options, scores.shape[1], data_samples, pred_label)
        classes = self.head.select_classes(view_scores, label, options)
        maps = self.maps(acts, inputs, classes, detail)
        more = {} if options.percentile is None else dict(percentile=options.percentile)
        boxes = self.head.boxes(
            acts, maps, inputs.shape[-2:], options.threshold, **more
        )
        for sample, score, one, pred_map, box in zip(
            data_samples, scores, pred_label, maps, boxes
        ):
            sample.set_pred_score(score).set_pred_label(one)
            sample.pred_map = pred_map
            sample.pred_bbox = box
        return data_samples


def _map_labels(
    options: TestOptions,
    num_classes: int,
    data_samples: Sequence[DataSample],
    pred_label: torch.Tensor,
) -> torch.Tensor | None:
    """Labels of ``map_label``, ``(B,)``; None where none is needed."""
    if min(options.topk, num_classes) > 1 and not options.force_label:
        return None
    if options.map_label == 'pred':
        return pred_label
    if not all('gt_label' in sample for sample in data_samples):
        raise ValueError(
            "map_label='gt' takes the map of the ground-truth label, but "
            'a sample has no `gt_label`. For images without labels set '
            "`model.head.map_label='pred'`."
        )
    return gt_labels(data_samples).to(pred_label.device)
