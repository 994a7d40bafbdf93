"""A threshold, and how good the maps are, from training images without boxes."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmpretrain.structures import DataSample
from torch.utils.data import DataLoader, Subset

from bas_mm.localization import (
    as_array,
    box_area,
    box_iou,
    cut_of,
    map_to_bbox,
    view_map,
)
from bas_mm.models.classifiers.building import gt_labels
from bas_mm.models.classifiers.localizer import Localizer
from bas_mm.structures import Calibration
from bas_mm.utils.configs import build_dataset, first_dataset

#: Share of the view's sides that the enlarged middle has.
ZOOM = 0.8

#: Transforms that read boxes and masks, or make crops that no map is read from.
LEFT_OUT = ('LoadLocAnnotations', 'TenCrop')


class Views(NamedTuple):
    """A batch, ready for the model.

    Attributes:
        inputs: Preprocessed views, ``(B, 3, H, W)``.
        samples: One for each view, with ``gt_label``.
    """

    inputs: torch.Tensor
    samples: list[DataSample]

    @property
    def label(self) -> torch.Tensor:
        """The labels, ``(B,)``, on the device of the views."""
        return gt_labels(self.samples).to(self.inputs.device)

    @property
    def blank(self) -> torch.Tensor:
        """Views of nothing but each view's mean color, ``(B, 3, H, W)``."""
        return self.inputs.mean((2, 3), keepdim=True).expand_as(self.inputs)


class Localized(NamedTuple):
    """What a pass gave for a batch."""

    views: Views
    classes: torch.Tensor
    maps: np.ndarray
    score: np.ndarray


def training_views(
    cfg: Config, model: Any, num: int = 100, seed: int = 0, batch_size: int = 32
) -> Iterable[Views]:
    """Read training images as the model sees test images.

    The pipeline is that of the test set, without what reads boxes or masks:
    they cannot reach what is computed from these views.

    Args:
        cfg: The config.
        model: Its model, for the data preprocessor.
        num: How many images, drawn without replacement; at most all.
        seed: Of the draw.
        batch_size: Images in a batch.

    Returns:
        The batches.

    Raises:
        ValueError: If the config has no training set or no test pipeline, or
            ``num`` is below 1.
    """
    if num < 1:
        raise ValueError(f'`num_images` must be at least 1, got {num}.')
    pipeline = first_dataset(cfg.get('test_dataloader')).get('pipeline')
    if not pipeline:
        raise ValueError(
            'A calibration reads training images as test images are read, but the '
            'config has no `test_dataloader.dataset.pipeline`.'
        )
    pipeline = [t for t in pipeline if _name(t) not in LEFT_OUT]
    pipeline = [
        dict(type='PackInputs') if _name(t) == 'PackLocInputs' else t for t in pipeline
    ]
    dataset = build_dataset(cfg, 'train', pipeline=pipeline)
    drawn = np.random.default_rng(seed).permutation(len(dataset))[:num]
    loader = DataLoader(
        Subset(dataset, drawn.tolist()), batch_size, collate_fn=pseudo_collate
    )
    for data in loader:
        batch = model.data_preprocessor(data, False)
        yield Views(batch['inputs'], batch['data_samples'])


def _name(transform: Mapping[str, Any]) -> str:
    return str(transform['type']).rsplit('.', 1)[-1]


@torch.no_grad()
def calibrate(model: Localizer, batches: Iterable[Views]) -> Calibration:
    """Find the threshold, and what tells good maps from bad ones.

    The threshold is the mean over the images of the cut that ``'auto'`` gives
    for each map, see :func:`bas_mm.localization.cut_of`. All else is measured
    on the boxes at this threshold.

    Args:
        model: In eval mode.
        batches: Of training images.

    Returns:
        The means over the images.

    Raises:
        ValueError: If there are no images.

    References:
        Insertion and deletion after Petsiuk et al., "RISE", BMVC 2018, here
        of one box; what is taken out becomes the mean color of the view.
    """
    seen = [localize(model, views) for views in batches]
    if not seen:
        raise ValueError('A calibration needs training images, and there are none.')
    sizes = [batch.views.inputs.shape[-2:] for batch in seen]
    cuts = [
        cut_of(view_map(one, size), 'auto')
        for batch, size in zip(seen, sizes)
        for one in batch.maps
    ]
    threshold = round(float(np.mean(cuts)), 3)
    rows = [_measure(model, batch, threshold) for batch in seen]
    means = {
        key: float(np.concatenate([r[key] for r in rows]).mean()) for key in rows[0]
    }
    return Calibration(threshold, **means)


def localize(model: Localizer, views: Views) -> Localized:
    """Score a batch and make the maps that a test would cut."""
    options = model.head.test_options(dict(map_label='gt'))
    acts, scores, _ = model.score(views.inputs)
    label = views.label
    classes = model.head.select_classes(scores, label, options)
    maps = model.maps(acts, views.inputs, classes)
    score = scores.gather(1, label[:, None])[:, 0]
    return Localized(views, classes, as_array(maps), as_array(score))


def score_label(model: Localizer, views: Views, inputs: torch.Tensor) -> np.ndarray:
    """Score the labels of a batch on other views of its images.

    Args:
        model: In eval mode.
        views: The batch.
        inputs: The other views, ``(B, 3, H, W)``.

    Returns:
        Softmax scores, ``(B,)``.
    """
    return as_array(model.score(inputs)[1].gather(1, views.label[:, None])[:, 0])


def _measure(
    model: Localizer, batch: Localized, threshold: float
) -> dict[str, np.ndarray]:
    """Measure the boxes of a batch, ``(B,)`` each."""
    views, inputs, blank = batch.views, batch.views.inputs, batch.views.blank
    size = inputs.shape[-2:]
    boxes = _boxes(batch.maps, size, threshold)
    inside = box_masks(boxes, size).to(inputs.device)

    def boxes_of(others: torch.Tensor) -> np.ndarray:
        acts = model.score(others)[0]
        maps = as_array(model.maps(acts, others, batch.classes))
        return _boxes(maps, size, threshold)

    return dict(
        area=box_area(boxes) / np.prod(size),
        score=batch.score,
        insertion=score_label(model, views, torch.where(inside, inputs, blank)),
        deletion=score_label(model, views, torch.where(inside, blank, inputs)),
        flip=_pair_iou(boxes, _mirror(boxes_of(inputs.flip(3)), size)),
        scale=_zoom_iou(boxes, boxes_of(enlarge_middle(inputs)), size),
    )


def _boxes(maps: np.ndarray, size: Any, threshold: float) -> np.ndarray:
    """Give the boxes of maps, ``(B, 4)``, ``xyxy`` in pixels of the view."""
    return np.stack([map_to_bbox(one, size, threshold) for one in maps])


def box_masks(boxes: np.ndarray, size: Any) -> torch.Tensor:
    """Give the insides of boxes as masks.

    Args:
        boxes: Shape ``(B, 4)``, ``xyxy``, max exclusive.
        size: ``(h, w)``, in pixels.

    Returns:
        Shape ``(B, 1, h, w)``, bool.

    Example:
        >>> box_masks(np.array([[1, 0, 2, 1]]), (1, 3)).tolist()
        [[[[False, True, False]]]]
    """
    x0, y0, x1, y1 = torch.from_numpy(boxes).T[..., None]
    y, x = torch.arange(size[0])[None], torch.arange(size[1])[None]
    rows, columns = (y >= y0) & (y < y1), (x >= x0) & (x < x1)
    return (rows[:, :, None] & columns[:, None])[:, None]


def enlarge_middle(views: torch.Tensor) -> torch.Tensor:
    """Cut ``ZOOM`` of the sides out of the middle, at the size of the whole.

    Args:
        views: Shape ``(B, 3, H, W)``.

    Returns:
        The same shape.
    """
    size = views.shape[-2:]
    x0, y0, x1, y1 = _middle(size)
    middle = views[..., y0:y1, x0:x1]
    return F.interpolate(middle, size, mode='bilinear', align_corners=False)


def _middle(size: Any) -> np.ndarray:
    """Give the box of the middle, ``(4,)`` whole numbers, ``xyxy``."""
    h, w = size
    top, left = round(h * (1 - ZOOM) / 2), round(w * (1 - ZOOM) / 2)
    return np.array([left, top, w - left, h - top])


def _mirror(boxes: np.ndarray, size: Any) -> np.ndarray:
    """Mirror boxes, left to right."""
    mirrored = boxes.copy()
    mirrored[:, [0, 2]] = size[1] - boxes[:, [2, 0]]
    return mirrored


def _zoom_iou(boxes: np.ndarray, enlarged: np.ndarray, size: Any) -> np.ndarray:
    """Compare boxes with those of the enlarged middle, within the middle.

    Args:
        boxes: In pixels of the view, ``(B, 4)``.
        enlarged: In pixels of the enlarged middle, ``(B, 4)``.
        size: ``(h, w)`` of both.
    """
    low, high = np.tile(_middle(size).reshape(2, 2), 2)
    scale = (high - low) / np.array([size[1], size[0]] * 2)
    return _pair_iou(boxes.clip(low, high), enlarged * scale + low)


def _pair_iou(ours: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Give the IoU of boxes, one by one, ``(B,)``."""
    return np.array([box_iou(a, b, 0).item() for a, b in zip(ours, others)])


def advise(found: Calibration) -> list[str]:
    """Say where the figures warn of maps that are no objects, and the cure.

    Args:
        found: Of :func:`calibrate`.

    Returns:
        A sentence for each warning.
    """
    warnings = []
    if found.area > 0.9:
        warnings.append(
            f'The boxes fill the view (mean area {found.area:.0%}): train longer, '
            "raise `model.head.loss.beta` (if it is a number; 'auto' chooses one), or "
            'the objects fill your images and boxes say little.'
        )
    if found.insertion < found.score / 2:
        warnings.append(
            'The boxes hold too little: what is in them alone scores '
            f'{found.insertion:.2f} where the view scores {found.score:.2f}. Lower '
            "`model.head.loss.beta` (if it is a number; 'auto' chooses one), or "
            '`model.head.threshold`.'
        )
    if found.deletion > found.insertion:
        warnings.append(
            'The boxes miss the object or follow its surroundings: what is around them '
            f'scores {found.deletion:.2f}, what is in them {found.insertion:.2f}. Look '
            'at the pictures; train longer, or show classes in other surroundings, too.'
        )
    return warnings
