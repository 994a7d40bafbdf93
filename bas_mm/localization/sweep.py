"""Boxes of a map at many thresholds, in one pass over its levels."""

from collections.abc import Sequence

import cv2
import numpy as np

from bas_mm.localization.boxes import as_boxes, box_area, pair_iou, whole_box
from bas_mm.localization.component_tree import (
    contours,
    get_compiled,
    largest_components,
)
from bas_mm.localization.maps import ArrayLike, get_compare, scale_map, view_map


def threshold_grid(step: float) -> np.ndarray:
    """Give the benchmark's thresholds, ``arange(0, 1, step)``.

    Raises:
        ValueError: If ``step`` is not in (0, 1].

    Example:
        >>> threshold_grid(0.25).tolist()
        [0.0, 0.25, 0.5, 0.75]
    """
    if not 0 < step <= 1:
        raise ValueError(f'step={step} between thresholds must be in (0, 1].')
    return np.arange(0, 1, step)


def _as_thresholds(thresholds: Sequence[float] | np.ndarray) -> np.ndarray:
    """Check that thresholds rise, ``(t,)`` float64."""
    array = np.asarray(thresholds, np.float64)
    if array.ndim != 1 or not array.size or (array[1:] < array[:-1]).any():
        raise ValueError(
            f'thresholds of the shape {array.shape} must be a rising '
            'list of at least one number.'
        )
    return array


def sweep_largest(
    pred_map: ArrayLike,
    img_shape: Sequence[int],
    thresholds: Sequence[float] | np.ndarray,
    compare: str = '>',
) -> np.ndarray:
    """Find the boxes of ``map_to_bbox`` at many thresholds, in one pass.

    Args:
        pred_map: Shape ``(h, w)``, any range and resolution.
        img_shape: ``(h, w)`` of the view, in pixels.
        thresholds: Rising, shape ``(t,)``.
        compare: ``'>'`` or ``'>='``.

    Returns:
        Shape ``(t, 4)``, float32, ``xyxy`` in pixels of the view, max
        exclusive.

    Raises:
        ValueError: If ``thresholds`` do not rise, or another argument is not
            allowed.

    Example:
        >>> sweep_largest([[0, 2, 4]], (1, 3), [0.2, 0.8]).tolist()
        [[1.0, 0.0, 3.0, 1.0], [2.0, 0.0, 3.0, 1.0]]
    """
    get_compare(compare)
    rising = _as_thresholds(thresholds)
    array = view_map(pred_map, img_shape)
    boxes = np.tile(whole_box(img_shape), (len(rising), 1))
    if array.max() > array.min():
        # A pixel's level is the number of thresholds that it passes.
        levels = np.searchsorted(
            rising.astype(array.dtype),
            array,
            side='left' if compare == '>' else 'right',
        )
        found = largest_components(levels, array)
        boxes[found.level - 1] = found.boxes
    return boxes


def sweep_contours(
    pred_map: ArrayLike,
    img_shape: Sequence[int],
    gt_bboxes: ArrayLike,
    thresholds: Sequence[float] | np.ndarray,
    resize: str = 'bilinear',
) -> tuple[np.ndarray, np.ndarray]:
    """Give the IoU of the benchmark's boxes at many thresholds, in one pass.

    The map ``q`` of ``quantize_map``, the mask ``q > int(t max(q))`` at each
    threshold t, its outer and inner contours as of
    ``cv2.findContours(mask, cv2.RETR_TREE, ...)``, their boxes
    ``(x, y, min(x + w, W - 1), min(y + h, H - 1))``, or ``(0, 0, 0, 0)`` where
    there is none. Ground-truth boxes are truncated to whole pixels; IoU as in
    ``box_iou`` with ``offset=1``, the best over the ground-truth boxes.

    Args:
        pred_map: Shape ``(h, w)``, any range and resolution.
        img_shape: ``(h, w)`` of the view, in pixels.
        gt_bboxes: Shape ``(m, 4)``, ``xyxy`` pixels of the view.
        thresholds: Rising, in [0, 1), shape ``(t,)``.
        resize: How the map comes to the view, see ``resize_map``.

    Returns:
        The IoU of the contour with the largest ``cv2.contourArea`` (of equal
        ones the first in OpenCV's order), and the best IoU over all
        contours, both ``(t,)`` float64.

    Raises:
        ValueError: If ``thresholds`` are not such numbers, or another
            argument is not allowed.

    Example:
        >>> one = np.zeros((5, 5)); one[1:4, 1:4] = 1
        >>> largest, best = sweep_contours(one, (5, 5), [[1, 1, 4, 4]], [0.5])
        >>> largest.tolist(), best.tolist()
        ([1.0], [1.0])
    """
    rising = _as_thresholds(thresholds)
    if not 0 <= rising[0] <= rising[-1] < 1:
        raise ValueError(
            f'thresholds from {rising[0]} to {rising[-1]} must be at '
            'least 0 and below 1.'
        )
    scaled = scale_map(pred_map, img_shape, resize) * 255
    levels = scaled.astype(np.uint8)
    truth = as_boxes(gt_bboxes)
    truth = np.trunc(truth[box_area(truth) > 0])
    if not levels.any():
        nothing = pair_iou(np.zeros((1, 4)), truth, 1).max(initial=0)
        return (np.full(len(rising), nothing),) * 2
    ranks, index = _rank_levels(levels, rising)
    found, largest = contours(ranks, scaled)
    h, w = levels.shape
    edge = np.array([w, h, w - 1, h - 1], found.boxes.dtype)
    compiled = get_compiled()
    iou, best = (compiled.best_iou if compiled else _best_iou)(*found, edge, truth)
    return iou[largest][index], best[index]


def _rank_levels(
    levels: np.ndarray, rising: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Count the different masks that each pixel is in.

    Args:
        levels: Shape ``(h, w)``, uint8.
        rising: The thresholds, ``(t,)``; several may give one mask.

    Returns:
        The number of masks, ``(h, w)`` uint8, and which mask each threshold
        gives, ``(t,)``.
    """
    cuts = (rising * int(levels.max())).astype(int)
    rank = (np.bincount(cuts + 1, minlength=256) > 0).cumsum()
    return cv2.LUT(levels, rank.astype(np.uint8)), rank[cuts + 1] - 1


def _best_iou(
    level: np.ndarray, boxes: np.ndarray, edge: np.ndarray, truth: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Give the best IoU of very many boxes, many of them repeated.

    Args:
        level: Shape ``(n,)``, 1 and up.
        boxes: Shape ``(n, 4)``; that of a component stays the same over many
            levels, which follow each other.
        edge: What the coordinates are at most, ``(4,)``.
        truth: Shape ``(m, 4)``, float64.

    Returns:
        That of each box, ``(n,)``, and the best of each level, ``(levels,)``.
    """
    boxes = np.minimum(boxes, edge)
    start = np.append(True, (boxes[1:] != boxes[:-1]).any(1)).nonzero()[0]
    iou = np.zeros(len(start))
    for gt in truth:  # one by one: there may be 100,000s of boxes
        np.maximum(iou, pair_iou(boxes[start], gt[None], 1)[:, 0], out=iou)
    iou = np.repeat(iou, np.append(start[1:], len(boxes)) - start)
    best = np.zeros(level.max())
    np.maximum.at(best, level - 1, iou)
    return iou, best
