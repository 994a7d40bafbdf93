"""The sweep over all thresholds against one contour search a threshold."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import torch

from bas_mm.localization import quantize_map, sweep_contours, threshold_grid

GT_BBOXES = np.array([[0.1, 0.15, 0.7, 0.75], [0.4, 0.4, 0.9, 0.95]])
#: Name, side before the upsampling (None: that of the view), height of the
#: bump that is added.
KINDS = (
    ('one bump, 14x14', 14, 8),
    ('smooth, 7x7', 7, 0),
    ('smooth, 14x14', 14, 0),
    ('smooth, 28x28', 28, 0),
    ('noise', None, 0),
)


@contextmanager
def one_core() -> Iterator[None]:
    """Let OpenCV and torch use one thread."""
    threads = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads[0])
        torch.set_num_threads(threads[1])


def find_contours(levels: np.ndarray, threshold: float) -> list[np.ndarray]:
    """Find the contours of a mask, as in the benchmark's definition.

    Example:
        >>> len(find_contours(np.eye(3, dtype=np.uint8) * 255, 0.5))
        1
    """
    mask = (levels > int(threshold * levels.max())).astype(np.uint8)
    return list(cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0])


def sweep_by_definition(
    pred_map: np.ndarray, gt_bboxes: np.ndarray, thresholds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Do what ``sweep_contours`` does, one threshold after the other.

    Args:
        pred_map: A map at the size of the view, ``(h, w)``.
        gt_bboxes: Shape ``(m, 4)``, ``xyxy`` pixels of the view.
        thresholds: Shape ``(t,)``.

    Returns:
        As of :func:`~bas_mm.localization.sweep_contours`.

    Example:
        >>> one = np.zeros((5, 5)); one[1:4, 1:4] = 1
        >>> gt_bboxes = np.array([[1, 1, 4, 4]])
        >>> [x.tolist() for x in sweep_by_definition(one, gt_bboxes, [0.5])]
        [[1.0], [1.0]]
    """
    levels = quantize_map(pred_map, pred_map.shape)
    h, w = levels.shape
    gt_bboxes = gt_bboxes.astype(int)

    def iou(boxes: list[tuple[int, ...]]) -> float:
        a, b = np.array(boxes)[:, None], gt_bboxes[None]
        side = (
            np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]) + 1
        )
        inter = np.maximum(side, 0).prod(-1)
        area = [(x[..., 2:] - x[..., :2] + 1).prod(-1) for x in (a, b)]
        return (inter / (area[0] + area[1] - inter)).max()

    def box(contour: np.ndarray) -> tuple[int, ...]:
        x, y, dx, dy = cv2.boundingRect(contour)
        return x, y, min(x + dx, w - 1), min(y + dy, h - 1)

    results = []
    for threshold in thresholds:
        contours = find_contours(levels, threshold)
        if contours:
            largest = max(contours, key=cv2.contourArea)
            results.append((iou([box(largest)]), iou(list(map(box, contours)))))
        else:
            results.append((iou([(0, 0, 0, 0)]),) * 2)
    largest_iou, best_iou = np.array(results).T
    return largest_iou, best_iou


def time_map(
    pred_map: np.ndarray, gt_bboxes: np.ndarray, thresholds: np.ndarray
) -> list[float]:
    """Time the definition, its contour search alone, and the sweep on a map.

    Args:
        pred_map: A map at the size of the view, ``(h, w)``.
        gt_bboxes: Shape ``(m, 4)``, ``xyxy`` pixels of the view.
        thresholds: Shape ``(t,)``.

    Returns:
        Milliseconds of CPU time of the three.

    Raises:
        AssertionError: If the sweep gives other numbers than the definition.
    """
    levels = quantize_map(pred_map, pred_map.shape)
    start = time.process_time()
    expected = sweep_by_definition(pred_map, gt_bboxes, thresholds)
    middle = time.process_time()
    for threshold in thresholds:
        find_contours(levels, threshold)
    times = [middle - start, time.process_time() - middle]
    sweeps = []
    for _ in range(5):
        start = time.process_time()
        result = sweep_contours(pred_map, pred_map.shape, gt_bboxes, thresholds)
        sweeps.append(time.process_time() - start)
    np.testing.assert_array_equal(result, expected)
    return [1e3 * x for x in (*times, float(np.median(sweeps)))]


def time_kinds(size: int, step: float, num: int) -> Iterator[tuple[str, np.ndarray]]:
    """Time maps of each of ``KINDS``.

    Args:
        size: Side of the view.
        step: Between thresholds.
        num: Maps of each kind; one of noise.

    Yields:
        The kind, and the median of :func:`time_map`, shape ``(3,)``.
    """
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size] / size
    bump = np.exp(-8 * ((x - 0.4) ** 2 + (y - 0.5) ** 2)).astype(np.float32)
    for name, side, height in KINDS:
        rows = []
        for _ in range(num if side else 1):
            values = rng.random((side or size,) * 2, np.float32)
            pred_map = cv2.resize(values, (size, size)) + height * bump
            rows.append(time_map(pred_map, GT_BBOXES * size, threshold_grid(step)))
        yield name, np.median(rows, axis=0)
