"""Time the sweep over all thresholds against one contour search a threshold.

    python tools/analysis_tools/benchmark_sweep.py

On one core, for maps of several kinds, in milliseconds of CPU time a map:

- contours: the definition, run as it is written: for each threshold
  ``cv2.findContours``, ``cv2.contourArea``, ``cv2.boundingRect``, IoU;
- search: ``cv2.findContours`` alone, its result thrown away;
- sweep: ``sweep_contours``, which gives the same numbers as contours, to the
  last bit; the script stops with an error if it does not.
"""

import argparse
import time

import cv2
import numpy as np
import torch
from bas_mm.localization import quantize_map, sweep_contours


def find(levels: np.ndarray, threshold: float) -> list[np.ndarray]:
    """Find the contours of a mask, as in the benchmark's definition."""
    mask = (levels > int(threshold * levels.max())).astype(np.uint8)
    return cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]


def by_contours(
    pred_map: np.ndarray, gt_bboxes: np.ndarray, thresholds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Do what ``sweep_contours`` does, one threshold after the other."""
    levels = quantize_map(pred_map, pred_map.shape)
    h, w = levels.shape
    gt_bboxes = gt_bboxes.astype(int)

    def iou(boxes: list) -> float:
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
        contours = find(levels, threshold)
        if contours:
            largest = max(contours, key=cv2.contourArea)
            results.append((iou([box(largest)]), iou(list(map(box, contours)))))
        else:
            results.append((iou([(0, 0, 0, 0)]),) * 2)
    largest, best = np.array(results).T
    return largest, best


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--size', type=int, default=224)
    parser.add_argument('--step', type=float, default=0.001)
    parser.add_argument('--maps', type=int, default=5, help='of each kind')
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    thresholds = np.arange(0, 1, args.step)
    gt_bboxes = np.array([[0.1, 0.15, 0.7, 0.75], [0.4, 0.4, 0.9, 0.95]])
    gt_bboxes = gt_bboxes * args.size
    y, x = np.mgrid[: args.size, : args.size] / args.size
    bump = np.exp(-8 * ((x - 0.4) ** 2 + (y - 0.5) ** 2)).astype(np.float32)
    # Name, side before the upsampling, height of the bump that is added.
    kinds = [('one bump, 14x14', 14, 8)]
    kinds += [(f'smooth, {n}x{n}', n, 0) for n in (7, 14, 28)]
    kinds += [('noise', args.size, 0)]
    print(
        f'{args.size}x{args.size}, {len(thresholds)} thresholds, ms of CPU a map, '
        'median'
    )
    print(
        f"{'map':16s}{'contours':>10s}{'search':>10s}{'sweep':>10s}"
        f"{'ratio':>8s}{'search/sweep':>14s}"
    )
    for name, n, height in kinds:
        rows = []
        for _ in range(args.maps if n < args.size else 1):
            pred_map = cv2.resize(
                rng.random((n, n), np.float32), (args.size, args.size)
            )
            pred_map += height * bump
            levels = quantize_map(pred_map, pred_map.shape)
            start = time.process_time()
            expected = by_contours(pred_map, gt_bboxes, thresholds)
            middle = time.process_time()
            for threshold in thresholds:
                find(levels, threshold)
            times = [middle - start, time.process_time() - middle]
            sweeps = []
            for _ in range(5):
                start = time.process_time()
                result = sweep_contours(pred_map, pred_map.shape, gt_bboxes, thresholds)
                sweeps.append(time.process_time() - start)
            np.testing.assert_array_equal(result, expected)
            rows.append([1e3 * x for x in (*times, np.median(sweeps))])
        a, b, c = np.median(rows, axis=0)
        print(f'{name:16s}{a:10.1f}{b:10.1f}{c:10.2f}{a / c:8.1f}{b / c:14.1f}')
    print('equal at every threshold')


if __name__ == '__main__':
    main()
