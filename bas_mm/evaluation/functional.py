"""Maps, boxes and their overlap: every convention of the suite, once.

Pure functions on NumPy arrays (a map may also be a torch tensor on any
device). Boxes are ``xyxy`` in pixels of the view, the image that the model
sees. A box of a mask is max exclusive: one pixel at the origin is
``(0, 0, 1, 1)``.

References:
    - "Recipe": Wu, Zhai, Cao, "Background Activation Suppression for Weakly
      Supervised Object Localization", CVPR 2022, and its released protocol.
    - "Benchmark": Choe et al., "Evaluating Weakly Supervised Object
      Localization Methods Right", CVPR 2020.
    - SEM: Zhang et al., "Rethinking Localization Map: Towards Accurate Object
      Perception with Self-Enhancement Maps", arXiv 2006.05220.
"""

import zlib
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch

from .component_tree import contours, largest_components

COMPARE: dict[str, Callable] = {'>': np.greater, '>=': np.greater_equal}


def get_compare(compare: str, option: str = 'compare') -> Callable:
    """Look up the comparison ``'>'`` or ``'>='``.

    Args:
        compare: ``'>'`` (strictly above) or ``'>='``.
        option: Name of the option, for the error.

    Raises:
        ValueError: For any other value.
    """
    if compare not in COMPARE:
        raise ValueError(
            f"{option}={compare!r} is not a comparison: set {option} to one "
            f"of {sorted(COMPARE)}."
        )
    return COMPARE[compare]


def as_array(x: np.ndarray | torch.Tensor | Sequence) -> np.ndarray:
    """Give a NumPy view (or copy) of a tensor, an array or nested lists."""
    if isinstance(x, torch.Tensor):
        x = x.detach().cpu()
        return (x.float() if x.dtype == torch.bfloat16 else x).numpy()
    return np.asarray(x)


def _as_map(pred_map: np.ndarray | torch.Tensor) -> np.ndarray:
    """Check a map; ``float32`` or ``float64`` stays, the rest is promoted."""
    array = as_array(pred_map)
    if array.ndim != 2:
        raise ValueError(
            f'pred_map has the shape {tuple(array.shape)}; one map of shape '
            '(h, w) is needed: select or average the channels first.'
        )
    if array.dtype == np.float32 or array.dtype == np.float64:
        return array
    # Integers in float64: there 255 * (k / 255) gives k back.
    return array.astype(np.float32 if array.dtype.kind == 'f' else np.float64)


def _as_size(size: Sequence[int], name: str) -> tuple[int, int]:
    size = tuple(int(s) for s in size[:2])
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f'{name}={size} is not (h, w) with both above 0.')
    return size


def normalize_map(pred_map: np.ndarray | torch.Tensor) -> np.ndarray:
    """Min-max normalise a map to [0, 1].

    ``(m - min(m)) / max(m - min(m))`` in the map's own precision. A map that
    says nothing gives zeros: a constant one, and one that holds any NaN or
    infinite value. An empty map stays empty.

    Args:
        pred_map: Shape ``(h, w)``, any range.

    Returns:
        Shape ``(h, w)``, float32 (float64 for float64 or integer maps).

    Raises:
        ValueError: If ``pred_map`` is not two-dimensional.
    """
    array = _as_map(pred_map)
    if array.size == 0:
        return array
    with np.errstate(all='ignore'):
        array = array - array.min()
        peak = array.max()
    if not np.isfinite(peak) or peak <= 0:  # a NaN reaches min and max
        return np.zeros_like(array)
    return array / peak


def resize_map(pred_map: np.ndarray | torch.Tensor, size: Sequence[int]) -> np.ndarray:
    """Resize a map bilinearly, pixel centres at halves, no antialias.

    The same as ``F.interpolate(..., mode='bilinear', align_corners=False)``
    up to rounding. A map that has the size already is returned untouched, an
    empty map as zeros.

    Args:
        pred_map: Shape ``(h, w)``.
        size: ``(h, w)`` of the result.

    Raises:
        ValueError: If ``pred_map`` is not two-dimensional or ``size`` is not
            two positive numbers.
    """
    array = _as_map(pred_map)
    size = _as_size(size, 'size')
    if array.shape == size:
        return array
    if array.size == 0:
        return np.zeros(size, array.dtype)
    return cv2.resize(
        np.ascontiguousarray(array), size[::-1], interpolation=cv2.INTER_LINEAR
    )


def view_map(
    pred_map: np.ndarray | torch.Tensor, img_shape: Sequence[int]
) -> np.ndarray:
    """Bring a map to the view as the recipe does.

    Min-max normalise at the map's own resolution, then resize.

    Args:
        pred_map: Shape ``(h, w)``, any range and resolution.
        img_shape: ``(h, w)`` of the view, in pixels.

    Returns:
        Shape ``img_shape``, values in [0, 1].
    """
    return resize_map(normalize_map(pred_map), _as_size(img_shape, 'img_shape'))


def scale_map(pred_map: np.ndarray | torch.Tensor, size: Sequence[int]) -> np.ndarray:
    """Bring a map to a size as the benchmark does.

    Resize, then min-max normalise at the final size: 0 and 1 are reached at
    every resolution. A constant map (before or after the resize), a NaN or
    empty one gives zeros.

    Args:
        pred_map: Shape ``(h, w)``, any range and resolution.
        size: ``(h, w)`` of the result, in pixels.

    Returns:
        Shape ``size``, values in [0, 1].
    """
    array = _as_map(pred_map)
    with np.errstate(all='ignore'):
        spread = array.max() - array.min() if array.size else 0
    # Resizing would make a constant map uneven by rounding.
    if not 0 < spread < np.inf:
        return np.zeros(_as_size(size, 'size'), np.float32)
    return normalize_map(resize_map(array, size))


def quantize_map(
    pred_map: np.ndarray | torch.Tensor, size: Sequence[int]
) -> np.ndarray:
    """Bring a map to the benchmark's 256 levels.

    ``uint8(255 m)``, truncated, of the map m of :func:`scale_map`.

    Args:
        pred_map: Shape ``(h, w)``, any range and resolution.
        size: ``(h, w)`` of the result, in pixels.

    Returns:
        Shape ``size``, uint8.
    """
    return (scale_map(pred_map, size) * 255).astype(np.uint8)


def whole_box(img_shape: Sequence[int]) -> np.ndarray:
    """The whole view as a box, shape ``(4,)``, float32."""
    h, w = _as_size(img_shape, 'img_shape')
    return np.array([0, 0, w, h], np.float32)


def center_box(img_shape: Sequence[int], side: float = 0.7) -> np.ndarray:
    """A centred rectangle of ``side`` times the view's sides.

    A square when the view is square. The corners are not rounded.

    Returns:
        Shape ``(4,)``, float32, ``xyxy`` in pixels of the view.

    Raises:
        ValueError: If ``side`` is not in (0, 1].
    """
    if not 0 < side <= 1:
        raise ValueError(
            f'side={side} of the centred box must be in (0, 1] of the view.'
        )
    box = whole_box(img_shape)
    return np.concatenate([box[2:] * (1 - side) / 2, box[2:] * (1 + side) / 2]).astype(
        np.float32
    )


def mask_to_bboxes(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes of the 8-connected components of a mask, the largest first.

    Size counts pixels. Components of equal size stand in raster order of
    their first pixels.

    Args:
        mask: Shape ``(h, w)``, bool or 0/1.

    Returns:
        The boxes, ``(n, 4)`` float32 max exclusive, and their pixel counts,
        ``(n,)``.
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
    return np.stack([x, y, x + w, y + h], 1).astype(np.float32), area[order]


def map_to_bboxes(
    pred_map: np.ndarray | torch.Tensor,
    img_shape: Sequence[int],
    threshold: float,
    compare: str = '>',
) -> np.ndarray:
    """All boxes of a map, the largest component first.

    As :func:`map_to_bbox`, but with the boxes of all components, by
    falling pixel count.

    Returns:
        Shape ``(n, 4)``, float32; ``(1, 4)`` with the whole view where the
        map says nothing.
    """
    compare = get_compare(compare)
    array = view_map(pred_map, img_shape)
    if array.max() > array.min():
        # A Python number is compared in the map's own precision.
        boxes, _ = mask_to_bboxes(compare(array, float(threshold)))
        if len(boxes):
            return boxes
    return whole_box(img_shape)[None]


def map_to_bbox(
    pred_map: np.ndarray | torch.Tensor,
    img_shape: Sequence[int],
    threshold: float,
    compare: str = '>',
) -> np.ndarray:
    """Turn a map into one box, the recipe's protocol.

    Min-max normalise the map at its own resolution, resize it bilinearly to
    the view, keep the pixels above the threshold, take the largest
    8-connected component by pixel count (of equal ones the first in raster
    order) and give its bounding rectangle. The whole view where there is
    nothing to take: a constant or empty map, any NaN or infinite value, no
    pixel above the threshold.

    Args:
        pred_map: Shape ``(h, w)``, any range and resolution.
        img_shape: ``(h, w)`` of the view, in pixels.
        threshold: On the normalised map, 0 to 1.
        compare: ``'>'`` (recipe) or ``'>='``.

    Returns:
        Shape ``(4,)``, float32, ``xyxy`` in pixels of the view, max
        exclusive.

    Raises:
        ValueError: If ``pred_map`` is not ``(h, w)``, ``img_shape`` not two
            positive numbers, or ``compare`` unknown.
    """
    return map_to_bboxes(pred_map, img_shape, threshold, compare)[0]


def _overlap(
    boxes: np.ndarray, gt_bboxes: np.ndarray, offset: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Areas of overlap ``(n, m)``, of boxes ``(n, 1)``, of others ``(m,)``."""
    # Long and contiguous: a sweep has 100,000s of boxes.
    boxes = np.ascontiguousarray(boxes.T, np.float64)[..., None]
    gt_bboxes = gt_bboxes.T[:, None]
    inter, area, gt_area = 1, 1, 1
    for low, high in ((0, 2), (1, 3)):
        side = (
            np.minimum(boxes[high], gt_bboxes[high])
            - np.maximum(boxes[low], gt_bboxes[low])
            + offset
        )
        inter = inter * np.maximum(side, 0)
        area = area * np.maximum(boxes[high] - boxes[low] + offset, 0)
        gt_area = gt_area * np.maximum(gt_bboxes[high] - gt_bboxes[low] + offset, 0)
    return inter, area, gt_area[0]


def _iou(boxes: np.ndarray, gt_bboxes: np.ndarray, offset: float) -> np.ndarray:
    inter, area, gt_area = _overlap(boxes, gt_bboxes, offset)
    return inter / np.maximum(area + gt_area - inter, np.finfo(float).tiny)


def _as_boxes(boxes: np.ndarray | torch.Tensor | Sequence) -> np.ndarray:
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


def box_area(boxes: np.ndarray | torch.Tensor, offset: float = 0) -> np.ndarray:
    """Areas of boxes, ``(n, 4)`` to ``(n,)``, float64, in pixels."""
    boxes = _as_boxes(boxes)
    return (boxes[:, 2:] - boxes[:, :2] + offset).clip(min=0).prod(-1)


def box_iou(
    boxes: np.ndarray | torch.Tensor,
    gt_bboxes: np.ndarray | torch.Tensor,
    offset: float = 1,
) -> np.ndarray:
    """Intersection over union of every box with every ground-truth box.

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
    boxes, gt_bboxes = _as_boxes(boxes), _as_boxes(gt_bboxes)
    return _iou(boxes, gt_bboxes, offset) * (box_area(gt_bboxes) > 0)


def box_overlap(
    box: np.ndarray | torch.Tensor,
    gt_bboxes: np.ndarray | torch.Tensor,
    offset: float = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Intersections of a box with others, as shares of either.

    Args:
        box: Shape ``(4,)``, ``xyxy``.
        gt_bboxes: Shape ``(m, 4)``, ``xyxy``; one without area is at 0.
        offset: As in :func:`box_iou`.

    Returns:
        Intersection over the box's area and over the others', ``(m,)`` each.
    """
    box, gt_bboxes = _as_boxes(box), _as_boxes(gt_bboxes)
    inter, area, gt_area = _overlap(box, gt_bboxes, offset)
    inter = inter[0] * (box_area(gt_bboxes) > 0)
    tiny = np.finfo(float).tiny
    return inter / np.maximum(area[0], tiny), inter / np.maximum(gt_area, tiny)


def best_iou(
    box: np.ndarray | torch.Tensor,
    gt_bboxes: np.ndarray | torch.Tensor,
    offset: float = 1,
) -> float:
    """IoU of one box with the ground-truth box that it fits best."""
    return float(box_iou(box, gt_bboxes, offset).max(initial=0))


def topk_labels(scores: np.ndarray | torch.Tensor, k: int) -> np.ndarray:
    """Classes of the ``k`` highest scores, the highest first.

    Of equal scores the lower class comes first. A NaN score is never among
    them. With fewer than ``k`` classes, all of them.

    Args:
        scores: Shape ``(num_classes,)``.
        k: Number of classes.

    Returns:
        Shape ``(min(k, number of scores that are not NaN),)``, int.
    """
    scores = as_array(scores).astype(np.float64).ravel()
    order = np.argsort(-scores, kind='stable')  # NaN sorts last
    return order[~np.isnan(scores[order])][:k]


def class_mean(values: np.ndarray, labels: np.ndarray) -> float:
    """Mean over the classes that occur of the mean within each class.

    Args:
        values: Shape ``(n,)``.
        labels: Shape ``(n,)``, int.

    Returns:
        The mean; NaN for ``n = 0``.
    """
    if len(values) == 0:
        return float('nan')
    _, index, count = np.unique(labels, return_inverse=True, return_counts=True)
    return float((np.bincount(index, weights=values) / count).mean())


def pack_counts(counts: np.ndarray) -> bytes:
    """Compress counts, such as a histogram, without loss."""
    planes = counts.astype('<u4').ravel().view(np.uint8).reshape(-1, 4)
    return zlib.compress(np.ascontiguousarray(planes.T), 6)


def unpack_counts(packed: Sequence[bytes], shape: tuple[int, ...]) -> np.ndarray:
    """Sum of counts of :func:`pack_counts`, int64 of the given shape."""
    total = np.zeros(shape, np.int64)
    for item in packed:
        planes = np.frombuffer(zlib.decompress(item), np.uint8).reshape(4, -1)
        total += np.ascontiguousarray(planes.T).view('<u4').reshape(shape)
    return total


def _as_thresholds(thresholds: Sequence[float]) -> np.ndarray:
    thresholds = np.asarray(thresholds, np.float64)
    if (
        thresholds.ndim != 1
        or not thresholds.size
        or (thresholds[1:] < thresholds[:-1]).any()
    ):
        raise ValueError(
            f'thresholds of the shape {thresholds.shape} must be a rising '
            'list of at least one number.'
        )
    return thresholds


def threshold_grid(step: float) -> np.ndarray:
    """The benchmark's thresholds, ``arange(0, 1, step)``.

    Raises:
        ValueError: If ``step`` is not in (0, 1].
    """
    if not 0 < step <= 1:
        raise ValueError(f'step={step} between thresholds must be in (0, 1].')
    return np.arange(0, 1, step)


def sweep_largest(
    pred_map: np.ndarray | torch.Tensor,
    img_shape: Sequence[int],
    thresholds: Sequence[float],
    compare: str = '>',
) -> np.ndarray:
    """:func:`map_to_bbox` at many thresholds, in one pass over the map.

    Args:
        pred_map: Shape ``(h, w)``, any range and resolution.
        img_shape: ``(h, w)`` of the view, in pixels.
        thresholds: Rising, shape ``(t,)``.
        compare: ``'>'`` or ``'>='``.

    Returns:
        Shape ``(t, 4)``, float32.
    """
    get_compare(compare)
    thresholds = _as_thresholds(thresholds)
    array = view_map(pred_map, img_shape)
    boxes = np.tile(whole_box(img_shape), (len(thresholds), 1))
    if array.max() > array.min():
        # A pixel's level is the number of thresholds that it passes.
        levels = np.searchsorted(
            thresholds.astype(array.dtype),
            array,
            side='left' if compare == '>' else 'right',
        )
        found = largest_components(levels, array)
        boxes[found.level - 1] = found.boxes
    return boxes


def sweep_contours(
    pred_map: np.ndarray | torch.Tensor,
    img_shape: Sequence[int],
    gt_bboxes: np.ndarray | torch.Tensor,
    thresholds: Sequence[float],
) -> tuple[np.ndarray, np.ndarray]:
    """IoU of the benchmark's boxes at many thresholds, in one pass.

    The map ``q`` of :func:`quantize_map`, the mask ``q > int(t max(q))`` at
    each threshold t, its outer and inner contours as of
    ``cv2.findContours(mask, cv2.RETR_TREE, ...)``, their boxes
    ``(x, y, min(x + w, W - 1), min(y + h, H - 1))``, or ``(0, 0, 0, 0)`` where
    there is none. Ground-truth boxes are truncated to whole pixels; IoU as in
    :func:`box_iou` with ``offset=1``, the best over the ground-truth boxes.

    Args:
        pred_map: Shape ``(h, w)``, any range and resolution.
        img_shape: ``(h, w)`` of the view, in pixels.
        gt_bboxes: Shape ``(m, 4)``, ``xyxy`` pixels of the view.
        thresholds: Rising, in [0, 1), shape ``(t,)``.

    Returns:
        The IoU of the contour with the largest ``cv2.contourArea`` (of equal
        ones the first in OpenCV's order), and the best IoU over all
        contours, both ``(t,)`` float64.

    Raises:
        ValueError: If ``thresholds`` are not such numbers.
    """
    thresholds = _as_thresholds(thresholds)
    if not 0 <= thresholds[0] <= thresholds[-1] < 1:
        raise ValueError(
            f'thresholds from {thresholds[0]} to {thresholds[-1]} must be at '
            'least 0 and below 1.'
        )
    scaled = scale_map(pred_map, img_shape) * 255
    levels = scaled.astype(np.uint8)
    top = int(levels.max())
    gt_bboxes = _as_boxes(gt_bboxes)
    gt_bboxes = np.trunc(gt_bboxes[box_area(gt_bboxes) > 0])
    if top == 0:
        nothing = _iou(np.zeros((1, 4)), gt_bboxes, 1).max(initial=0)
        return (np.full(len(thresholds), nothing),) * 2
    # A pixel's level is the number of different masks that it is in.
    cuts = (thresholds * top).astype(int)  # rising
    new = np.append(True, cuts[1:] != cuts[:-1])
    cuts, index = cuts[new], new.cumsum() - 1
    rank = np.searchsorted(cuts, np.arange(256)).astype(np.uint8)
    found, largest = contours(cv2.LUT(levels, rank), scaled)
    boxes, (h, w) = found.boxes, levels.shape
    boxes = np.minimum(boxes, np.array([w, h, w - 1, h - 1], boxes.dtype))
    # The box of a component stays the same over many levels.
    start = np.append(True, (boxes[1:] != boxes[:-1]).any(1)).nonzero()[0]
    iou = np.zeros(len(start))
    for gt in gt_bboxes:  # one by one: there may be 100,000s of boxes
        np.maximum(iou, _iou(boxes[start], gt[None], 1)[:, 0], out=iou)
    iou = np.repeat(iou, np.append(start[1:], len(boxes)) - start)
    best = np.zeros(len(cuts))
    np.maximum.at(best, found.level - 1, iou)
    return iou[largest][index], best[index]
