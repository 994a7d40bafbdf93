"""The sweep over all thresholds against one contour search a threshold."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import cv2
import numpy as np
import torch

from bas_mm.localization import quantize_map, sweep_contours, threshold_grid
from bas_mm.localization.component_tree import get_compiled, numpy_only

GT_BBOXES = np.array([[0.1, 0.15, 0.7, 0.75], [0.4, 0.4, 0.9, 0.95]])


def _upsampled(rng: np.random.Generator, size: int, side: int) -> np.ndarray:
    return cv2.resize(rng.random((side, side), np.float32), (size, size))


def _bump(size: int, x: float, y: float, width: float) -> np.ndarray:
    """Make a Gaussian; place and width are shares of the side."""
    at = np.arange(size) / size
    across, down = (np.exp(-(((at - c) / width) ** 2) / 2) for c in (x, y))
    return np.outer(down, across).astype(np.float32)


def _one_bump(rng: np.random.Generator, size: int) -> np.ndarray:
    return _upsampled(rng, size, 14) + 8 * _bump(size, 0.4, 0.5, 0.25)


def _ripple(rng: np.random.Generator, size: int) -> np.ndarray:
    """Sum up five bumps and 14 x 14 waves of a tenth of their height."""
    bumps = [
        _bump(size, rng.random(), rng.random(), rng.uniform(0.05, 0.25))
        for _ in range(5)
    ]
    wave = np.sin(2 * np.pi * 14 * np.arange(size) / size + rng.random())
    return sum(bumps) + 0.1 * np.outer(wave, wave).astype(np.float32)


#: What makes a map, from a generator of numbers and the side of the view.
KINDS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    'one bump, 14x14': _one_bump,
    'smooth, 7x7': partial(_upsampled, side=7),
    'smooth, 14x14': partial(_upsampled, side=14),
    'smooth, 28x28': partial(_upsampled, side=28),
    'bumps with a ripple': _ripple,
    'noise': lambda rng, size: _upsampled(rng, size, size),
}


def get_ways() -> dict[str, Callable[[], AbstractContextManager[None]]]:
    """Give the ways to compute the sweep that can be used here.

    Example:
        >>> list(get_ways())[0]
        'NumPy'
    """
    ways: dict[str, Callable[[], AbstractContextManager[None]]] = {'NumPy': numpy_only}
    return {**ways, 'numba': nullcontext} if get_compiled() else ways


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
        Milliseconds of CPU time: of the definition, of its contour search, and
        of the sweep in each of :func:`get_ways`, median of five.

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
    ways = get_ways()
    sweeps: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(6):  # the first one, which may compile, does not count
        for name, way in ways.items():
            with way():
                start = time.process_time()
                result = sweep_contours(pred_map, pred_map.shape, gt_bboxes, thresholds)
                sweeps[name].append(time.process_time() - start)
            np.testing.assert_array_equal(result, expected)
    times += [float(np.median(taken[1:])) for taken in sweeps.values()]
    return [1e3 * x for x in times]


def time_kinds(size: int, step: float, num: int) -> Iterator[tuple[str, np.ndarray]]:
    """Time maps of each of ``KINDS``.

    Args:
        size: Side of the view.
        step: Between thresholds.
        num: Maps of each kind; one of noise.

    Yields:
        The kind, and the median of :func:`time_map`, shape ``(2 + ways,)``.
    """
    rng = np.random.default_rng(0)
    for name, make in KINDS.items():
        rows = []
        for _ in range(1 if name == 'noise' else num):
            pred_map = make(rng, size)
            rows.append(time_map(pred_map, GT_BBOXES * size, threshold_grid(step)))
        yield name, np.median(rows, axis=0)
