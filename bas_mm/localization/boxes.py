"""Boxes and masks: from a map, and their overlap."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from bas_mm.localization.maps import (
    ArrayLike,
    as_array,
    as_size,
    cut_of,
    get_compare,
    view_map,
)


def whole_box(img_shape: Sequence[int]) -> np.ndarray:
    """Give the whole view as a box, shape ``(4,)``, float32.

    Example:
        >>> whole_box((2, 3)).tolist()
        [0.0, 0.0, 3.0, 2.0]
    """
    h, w = as_size(img_shape, 'img_shape')
    return np.array([0, 0, w, h], np.float32)


def center_box(img_shape: Sequence[int], side: float = 0.7) -> np.ndarray:
    """Give a centered rectangle of ``side`` times the view's sides.

    A square when the view is square. The corners are not rounded.

    Returns:
        Shape ``(4,)``, float32, ``xyxy`` in pixels of the view.

    Raises:
        ValueError: If ``side`` is not in (0, 1].

    Example:
        >>> center_box((4, 8), 0.5).tolist()
        [2.0, 1.0, 6.0, 3.0]
    """
    if not 0 < side <= 1:
        raise ValueError(
            f'side={side} of the centered box must be in (0, 1] of the view.'
        )
    box = whole_box(img_shape)
    return np.concatenate([box[2:] * (1 - side) / 2, box[2:] * (1 + side) / 2]).astype(
        np.float32
    )


def mask_to_bboxes(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the boxes of the 8-connected components of a mask, largest first.

    Size counts pixels. Components of equal size stand in raster order of
    their first pixels.

    Args:
        mask: Shape ``(h, w)``, bool or 0/1.

    Returns:
        The boxes, ``(n, 4)`` float32 max exclusive, and their pixel counts,
        ``(n,)``.

    Example:
        >>> boxes, count = mask_to_bboxes(np.array([[1, 0, 1, 1]]))
        >>> boxes.tolist(), count.tolist()
        ([[2.0, 0.0, 4.0, 1.0], [0.0, 0.0, 1.0, 1.0]], [2, 1])
    """
    boxes, count, _, _ = _components(mask)
    return boxes, count


def _components(
    mask: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Find the components of a mask, largest first.

    Returns:
        Boxes, pixel counts and numbers, ``(n, ...)``, and the mask with every
        pixel replaced by the number of its component, 0 for background.
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8
    )
    stats = stats[1:]  # the first row is the background
    area = stats[:, cv2.CC_STAT_AREA]
    if len(area) > 1 and len(np.unique(area)) < len(area):
        # OpenCV's labels need not follow raster order: settle it by pixels.
        first = np.empty(len(stats) + 1, np.int64)
        flat = labels.ravel()
        first[flat[::-1]] = np.arange(flat.size - 1, -1, -1)
        order = np.lexsort((first[1:], -area))
    else:
        order = np.argsort(-area, kind='stable')
    x, y, w, h = stats[order, :4].T
    boxes = np.stack([x, y, x + w, y + h], 1).astype(np.float32)
    return boxes, area[order], order + 1, labels


def map_components(
    pred_map: ArrayLike,
    img_shape: Sequence[int],
    threshold: float | str,
    compare: str = '>',
    percentile: float | None = None,
) -> tuple[np.ndarray, Iterator[np.ndarray]]:
    """Find the boxes and the masks of all components of a map.

    Min-max normalize the map at its own resolution, resize it bilinearly to
    the view, keep the pixels above the cut, and part them into 8-connected
    components, by falling pixel count (of equal ones the first in raster
    order first). The whole view where there is nothing to take: a constant or
    empty map, any NaN or infinite value, no pixel above the cut.

    Args:
        pred_map: Shape ``(h, w)``, any range and resolution.
        img_shape: ``(h, w)`` of the view, in pixels.
        threshold: On the normalized map, see
            :func:`~bas_mm.localization.cut_of`.
        compare: ``'>'`` (recipe) or ``'>='``.
        percentile: See :func:`~bas_mm.localization.cut_of`.

    Returns:
        The boxes, ``(n, 4)`` float32, ``xyxy`` in pixels of the view, max
        exclusive; and the masks, ``img_shape`` bool, one by one in the same
        order.

    Raises:
        ValueError: If ``pred_map`` is not ``(h, w)``, ``img_shape`` not two
            positive numbers, or an option not allowed.

    Example:
        >>> boxes, masks = map_components([[9, 0, 7, 8]], (1, 4), 0.5)
        >>> boxes.tolist()
        [[2.0, 0.0, 4.0, 1.0], [0.0, 0.0, 1.0, 1.0]]
        >>> [mask.astype(int).tolist() for mask in masks]
        [[[0, 0, 1, 1]], [[1, 0, 0, 0]]]
    """
    mask = _mask(pred_map, img_shape, threshold, compare, percentile)
    if mask is None:
        shape = as_size(img_shape, 'img_shape')
        return whole_box(shape)[None], iter([np.ones(shape, bool)])
    boxes, _, numbers, labels = _components(mask)
    return boxes, (labels == number for number in numbers)


def _mask(
    pred_map: ArrayLike,
    img_shape: Sequence[int],
    threshold: float | str,
    compare: str,
    percentile: float | None,
) -> np.ndarray | None:
    """Cut a map in the view; None where there is nothing to take."""
    above = get_compare(compare)
    array = view_map(pred_map, img_shape)
    if not array.max() > array.min():
        return None
    mask = above(array, cut_of(array, threshold, percentile))
    return mask if mask.any() else None


def map_to_bboxes(
    pred_map: ArrayLike,
    img_shape: Sequence[int],
    threshold: float | str,
    compare: str = '>',
    percentile: float | None = None,
) -> np.ndarray:
    """Find all boxes of a map, the largest component first.

    The boxes of :func:`map_components`, with the same arguments.

    Returns:
        Shape ``(n, 4)``, float32; ``(1, 4)`` with the whole view where there
        is nothing to take.

    Example:
        >>> map_to_bboxes([[9, 0, 7, 8]], (1, 4), 0.5).tolist()
        [[2.0, 0.0, 4.0, 1.0], [0.0, 0.0, 1.0, 1.0]]
    """
    mask = _mask(pred_map, img_shape, threshold, compare, percentile)
    return whole_box(img_shape)[None] if mask is None else _components(mask)[0]


def map_to_bbox(
    pred_map: ArrayLike,
    img_shape: Sequence[int],
    threshold: float | str,
    compare: str = '>',
    percentile: float | None = None,
) -> np.ndarray:
    """Turn a map into one box, the recipe's protocol.

    The box of the largest component of :func:`map_components`, with the same
    arguments.

    Returns:
        Shape ``(4,)``, float32, ``xyxy`` in pixels of the view, max
        exclusive.

    Example:
        >>> map_to_bbox([[0, 1, 3, 4]], (1, 4), 0.5).tolist()
        [2.0, 0.0, 4.0, 1.0]
    """
    return map_to_bboxes(pred_map, img_shape, threshold, compare, percentile)[0]


def overlap(
    boxes: np.ndarray, gt_bboxes: np.ndarray, offset: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give areas of overlap ``(n, m)``, of boxes ``(n, 1)``, of others ``(m,)``.

    Both in float64, ``(n, 4)`` and ``(m, 4)``; nothing is checked.

    Example:
        >>> box = np.array([[0.0, 0, 2, 2]])
        >>> [x.tolist() for x in overlap(box, box + 1, 0)]
        [[[1.0]], [[4.0]], [4.0]]
    """
    # Long and contiguous: a sweep has 100,000s of boxes.
    columns = np.ascontiguousarray(boxes.T, np.float64)[..., None]
    others = gt_bboxes.T[:, None]
    inter = area = gt_area = np.ones((1, 1))
    for low, high in ((0, 2), (1, 3)):
        side = (
            np.minimum(columns[high], others[high])
            - np.maximum(columns[low], others[low])
            + offset
        )
        inter = inter * np.maximum(side, 0)
        area = area * np.maximum(columns[high] - columns[low] + offset, 0)
        gt_area = gt_area * np.maximum(others[high] - others[low] + offset, 0)
    return inter, area, gt_area[0]


def pair_iou(boxes: np.ndarray, gt_bboxes: np.ndarray, offset: float) -> np.ndarray:
    """Give the IoU of all pairs, as :func:`overlap` takes them, ``(n, m)``.

    Example:
        >>> box = np.array([[0.0, 0, 2, 2]])
        >>> pair_iou(box, box, 1).tolist()
        [[1.0]]
    """
    inter, area, gt_area = overlap(boxes, gt_bboxes, offset)
    return inter / np.maximum(area + gt_area - inter, np.finfo(float).tiny)


def as_boxes(boxes: ArrayLike) -> np.ndarray:
    """Check boxes; one of shape ``(4,)`` becomes ``(1, 4)``.

    Returns:
        Shape ``(n, 4)``, float64.

    Raises:
        ValueError: If they are not ``(n, 4)``.

    Example:
        >>> as_boxes([0, 0, 1, 1]).shape, as_boxes([]).shape
        ((1, 4), (0, 4))
    """
    array = as_array(boxes).astype(np.float64)
    if array.size == 0:
        return array.reshape(0, 4)
    if array.ndim == 1:
        array = array[None]
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(
            f'boxes of the shape {tuple(array.shape)}: (n, 4), xyxy, is needed.'
        )
    return array


def box_area(boxes: ArrayLike, offset: float = 0) -> np.ndarray:
    """Give the areas of boxes, ``(n, 4)`` to ``(n,)``, float64, in pixels.

    Example:
        >>> box_area([[0, 0, 2, 3], [4, 4, 1, 9]]).tolist()
        [6.0, 0.0]
    """
    array = as_boxes(boxes)
    return (array[:, 2:] - array[:, :2] + offset).clip(min=0).prod(-1)


def box_iou(boxes: ArrayLike, gt_bboxes: ArrayLike, offset: float = 1) -> np.ndarray:
    """Give intersection over union of every box with every ground-truth box.

    With ``offset=1`` (recipe and benchmark) a side is ``x1 - x0 + 1``, as if
    the far edge were inside; ``offset=0`` is plain geometry. A ground-truth
    box without area (cropped away) can never be hit: its IoU is 0 with
    everything.

    Args:
        boxes: Shape ``(n, 4)``, ``xyxy``.
        gt_bboxes: Shape ``(m, 4)``, ``xyxy``, same frame.
        offset: Added to every extent.

    Returns:
        Shape ``(n, m)``, float64.

    Raises:
        ValueError: If either is not ``(., 4)``.

    Example:
        >>> box_iou([[0, 0, 1, 1]], [[0, 0, 1, 3], [5, 5, 5, 9]]).tolist()
        [[0.5, 0.0]]
    """
    ours, others = as_boxes(boxes), as_boxes(gt_bboxes)
    return pair_iou(ours, others, offset) * (box_area(others) > 0)


def box_overlap(
    box: ArrayLike, gt_bboxes: ArrayLike, offset: float = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Give the intersections of a box with others, as shares of either.

    Args:
        box: Shape ``(4,)``, ``xyxy``.
        gt_bboxes: Shape ``(m, 4)``, ``xyxy``; one without area is at 0.
        offset: As in :func:`box_iou`.

    Returns:
        Intersection over the box's area and over the others', ``(m,)`` each.

    Example:
        >>> [x.tolist() for x in box_overlap([0, 0, 2, 2], [[0, 0, 4, 2]], 0)]
        [[1.0], [0.5]]
    """
    one, others = as_boxes(box), as_boxes(gt_bboxes)
    inter, area, gt_area = overlap(one, others, offset)
    inter = inter[0] * (box_area(others) > 0)
    tiny = np.finfo(float).tiny
    return inter / np.maximum(area[0], tiny), inter / np.maximum(gt_area, tiny)


def best_iou(box: ArrayLike, gt_bboxes: ArrayLike, offset: float = 1) -> float:
    """Give the IoU of one box with the ground-truth box that it fits best.

    Example:
        >>> best_iou([0, 0, 1, 1], [[0, 0, 1, 3], [0, 0, 1, 1]])
        1.0
    """
    return float(box_iou(box, gt_bboxes, offset).max(initial=0))
