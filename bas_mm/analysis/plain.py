"""Plain versions of inference and test, written for the comparison alone."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmpretrain.registry import MODELS

from bas_mm.analysis.arms import Stopwatch
from bas_mm.apis.model import load_model
from bas_mm.localization import as_array
from bas_mm.localization.boxes import box_iou
from bas_mm.localization.maps import cut_of
from bas_mm.models import WSOLClassifier
from bas_mm.models.classifiers.building import gt_labels
from bas_mm.structures import TestOptions
from bas_mm.utils.configs import build_dataset
from bas_mm.visualization.sheet import spread_indices


class Found(NamedTuple):
    """What is said of a batch.

    Attributes:
        scores: Shape ``(B, C)``.
        maps: Shape ``(B, h, w)``.
        boxes: Shape ``(B, 4)``, ``xyxy`` in pixels of the view.
    """

    scores: np.ndarray
    maps: np.ndarray
    boxes: np.ndarray


def plain_box(
    pred_map: np.ndarray,
    size: Sequence[int],
    threshold: float | str,
    percentile: float | None,
) -> np.ndarray:
    """Find the box of the largest component of a map, as anybody would.

    Example:
        >>> plain_box(np.float32([[0, 1, 3, 4]]), (1, 4), 0.5, None).tolist()
        [2.0, 0.0, 4.0, 1.0]
    """
    h, w = size
    array = pred_map - pred_map.min()
    array = cv2.resize(array / max(array.max(), np.finfo(array.dtype).tiny), (w, h))
    mask = (array > cut_of(array, threshold, percentile)).astype(np.uint8)
    if not array.max() > array.min() or not mask.any():
        return np.array([0, 0, w, h], np.float32)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    largest = 1 + np.flatnonzero(areas == areas.max())
    if len(largest) > 1:  # the first of them in raster order
        largest = labels.ravel()[np.isin(labels.ravel(), largest)]
    x, y, width, height = stats[largest[0], :4]
    return np.array([x, y, x + width, y + height], np.float32)


def plain_boxes(
    maps: np.ndarray, views: torch.Tensor, options: TestOptions
) -> np.ndarray:
    """Find boxes image by image, ``(B, 4)``, of maps ``(B, h, w)``."""
    cut = options.threshold, options.percentile
    return np.stack([plain_box(one, views.shape[2:], *cut) for one in maps])


def plain_maps(
    model: Any,
    views: torch.Tensor,
    labels: torch.Tensor | None,
    options: TestOptions,
    watch: Stopwatch,
) -> tuple[torch.Tensor, np.ndarray]:
    """Run the network, compute the maps of all classes, and take some.

    Args:
        model: Without a refiner.
        views: Normalized, ``(B, 3, H, W)``.
        labels: Whose maps are asked for, ``(B,)``; None for the best classes.
        options: Which maps are taken.
        watch: Counts the parts.

    Returns:
        Scores ``(B, C)`` and maps ``(B, h, w)``.
    """
    with watch.part('forward'):
        acts = model.head(model.neck(views))
        scores = acts.logits.softmax(1)
    with watch.part('maps'):
        each = torch.arange(scores.shape[1], device=views.device)
        maps = model.head.class_maps(acts, each.expand(len(views), -1))
        labels = scores.argmax(1) if labels is None else labels
        taken = []
        for b in range(len(views)):
            one = slice(b, b + 1)
            (classes,) = model.head.select_classes(scores[one], labels[one], options)
            taken.append(as_array(maps[b, classes].float().mean(0)))
    return scores, np.stack(taken)


def predict(model: Any, data: Mapping[str, Any], options: Any, watch: Stopwatch) -> Any:
    """Predict a batch, with its forward pass, its maps and its boxes as parts."""
    with (
        watch.over(model, score='forward', maps='maps'),
        watch.over(model.head, boxes='boxes'),
    ):
        samples = model.predict(**data, test_cfg=options)
    return Found(
        np.stack([as_array(one.pred_score) for one in samples]),
        np.stack([as_array(one.pred_map) for one in samples]),
        np.stack([as_array(one.pred_bbox) for one in samples]),
    )


def require_equal(ours: Found, plain: Found, boxes: np.ndarray) -> None:
    """Check that both ways lead to the same.

    Args:
        ours: What the package found.
        plain: What the plain version found, its maps equal to rounding.
        boxes: Those that the plain version finds in the package's own maps: a
            pixel that rounding lifts over the threshold is no difference.

    Raises:
        ValueError: If they do not.
    """
    spread = np.ptp(plain.maps) or 1
    off = [
        float(np.abs(ours.scores - plain.scores).max()),
        float(np.abs(ours.maps - plain.maps).max() / spread),
        float(np.abs(ours.boxes - boxes).max()),
    ]
    if not np.all(np.array(off) <= (1e-4, 1e-4, 0)):  # nor NaN
        raise ValueError(
            f'Scores are {off[0]:g}, maps {off[1]:g} of their range and boxes '
            f'{off[2]:g} pixels off those of the plain version: they do not compute '
            'the same.'
        )


def compare(found: Found, plain: Found) -> str:
    """Say how far what was found is from what is found without ``--fast``."""
    spread = np.ptp(plain.maps) or 1
    iou = [box_iou(a, b, 0).item() for a, b in zip(found.boxes, plain.boxes)]
    same = (found.scores.argmax(1) == plain.scores.argmax(1)).mean()
    return (
        f'--fast, {len(iou)} images: scores at most '
        f'{np.abs(found.scores - plain.scores).max():.1g} off, maps '
        f'{np.abs(found.maps - plain.maps).max() / spread:.1g} of their range, '
        f'{same:.0%} with the same class, IoU of the boxes {np.mean(iou):.3f} '
        f'(least {np.min(iou):.3f})'
    )


class Ways:
    """Our way and the plain one from a batch to scores, maps and boxes.

    Args:
        model: Of :func:`load_plain_model`.
        batch: As a loader gives it, crops among it or not.
        options: Which maps are taken, and where they are cut. Defaults to those of
            the model.
    """

    def __init__(
        self, model: Any, batch: Mapping[str, Any], options: TestOptions | None = None
    ) -> None:
        self.model = model
        self.batch = batch
        self.options = options or model.head.test_options()

    def data(self) -> dict[str, Any]:
        """Give the batch as the model takes it."""
        return self.model.data_preprocessor(dict(self.batch), False)

    @torch.no_grad()
    def ours(self, watch: Stopwatch, model: Any = None) -> Found:
        """Predict as the package does, with this model or another."""
        return predict(model or self.model, self.data(), self.options, watch)

    @torch.no_grad()
    def plain(self, watch: Stopwatch) -> Found:
        """Run each crop through the whole network, and the view once more.

        Without crops the view alone, once.
        """
        data = self.data()
        views, crops = data['inputs'], data.get('crops')
        labels = None
        if self.options.map_label == 'gt':
            labels = gt_labels(data['data_samples']).to(views.device)
        if crops is None:
            scores, maps = plain_maps(self.model, views, labels, self.options, watch)
        else:
            each = [
                plain_maps(self.model, one, labels, self.options, watch)[0]
                for one in (views, *crops.unbind(1))
            ]
            scores = torch.stack(each).mean(0)
            labels = scores.argmax(1) if labels is None else labels
            _, maps = plain_maps(self.model, views, labels, self.options, watch)
        with watch.part('boxes'):
            return Found(as_array(scores), maps, plain_boxes(maps, views, self.options))

    def check(self) -> Found:
        """Check that both find the same, and give what they find.

        Raises:
            ValueError: If they do not.
        """
        watch = Stopwatch(next(self.model.parameters()).device)
        ours, plain = self.ours(watch), self.plain(watch)
        boxes = plain_boxes(ours.maps, self.data()['inputs'], self.options)
        require_equal(ours, plain, boxes)
        return ours


def first_views(cfg: Config, count: int) -> dict[str, Any]:
    """Load images of the test set, spread over it, collated as lists."""
    dataset = build_dataset(cfg, 'test')
    indices = spread_indices(len(dataset), count)
    return pseudo_collate([dataset[i] for i in indices])


def load_plain_model(
    cfg: Config, checkpoint: str | None, device: torch.device
) -> WSOLClassifier:
    """Build a model that plain versions can be written for.

    Args:
        cfg: The config.
        checkpoint: Its weights; None for random ones, which cost as much.
        device: Where it runs.

    Raises:
        ValueError: If it is another model.
    """
    if checkpoint is None:
        torch.manual_seed(0)
        model = MODELS.build(cfg.model).to(device).eval()
    else:
        model = load_model(cfg, checkpoint, str(device))
    if not isinstance(model, WSOLClassifier) or model.refiner is not None:
        raise ValueError(
            f'{cfg.filename} has a {type(model).__name__}, and the plain versions are '
            'of a WSOLClassifier without a refiner: give a config such as '
            'bas_efficientnet-lite0_toy.'
        )
    return model
