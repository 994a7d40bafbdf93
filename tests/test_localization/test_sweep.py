import cv2
import numpy as np
import pytest
import torch

from bas_mm import localization as loc
from tests.helpers.references import benchmark_boxes, benchmark_levels, count_iou

pytestmark = pytest.mark.usefixtures('way')
INTERPOLATION = dict(bilinear=cv2.INTER_LINEAR, bicubic=cv2.INTER_CUBIC)


@pytest.mark.parametrize('compare', ['>', '>='])
def test_sweep_largest_equals_one_by_one(compare):
    rng = np.random.default_rng(1)
    thresholds = np.arange(101) / 100
    for low, shape in [((14, 14), (56, 40)), ((6, 6), (6, 6)), ((3, 9), (33, 20))]:
        for round_ in (False, True):  # values on the thresholds themselves
            m = rng.random(low).astype(np.float32)
            m = np.round(m, 1) if round_ else m
            expected = [loc.map_to_bbox(m, shape, t, compare) for t in thresholds]
            np.testing.assert_array_equal(
                loc.sweep_largest(m, shape, thresholds, compare), expected
            )


@pytest.mark.parametrize(
    'pred_map',
    [np.zeros((3, 3)), np.zeros((0, 3)), np.array([[0, np.nan]]), torch.ones(2, 2)],
)
@pytest.mark.parametrize('compare', ['>', '>='])
def test_sweep_largest_of_no_contrast_gives_the_whole_view(pred_map, compare):
    boxes = loc.sweep_largest(pred_map, (5, 7), [0, 0.5], compare)
    assert boxes.tolist() == [[0, 0, 7, 5]] * 2


def benchmark_sweep(levels, gt_bboxes, thresholds):
    """The benchmark's definition, written out."""
    results = []
    for t in thresholds:
        boxes, largest = benchmark_boxes(levels, t)
        iou = [max(count_iou(b, g) for g in gt_bboxes) for b in boxes]
        results.append((iou[largest], max(iou)))
    return np.array(results).T


@pytest.mark.parametrize('step', [0.3, 0.01, 0.001])
@pytest.mark.parametrize('kind', ['smooth', 'noise', 'plateaus', 'constant'])
def test_sweep_contours_equals_definition(kind, step):
    rng = np.random.default_rng(0)
    if kind == 'smooth':
        m = cv2.resize(rng.random((5, 5)).astype(np.float32), (32, 24))
    elif kind == 'noise':
        m = rng.random((14, 18)).astype(np.float32)
    elif kind == 'plateaus':
        m = rng.integers(0, 4, (20, 20)).astype(np.float32)
    else:
        m = np.ones((9, 9), np.float32)
    gt_bboxes = [(2, 3, 9, 8), (0, 0, 4, 5)]
    thresholds = loc.threshold_grid(step)
    subset = np.linspace(0, len(thresholds) - 1, 40).astype(int)
    result = np.array(
        loc.sweep_contours(m, m.shape, np.array(gt_bboxes) + 0.7, thresholds)
    )
    levels = loc.quantize_map(m, m.shape)
    expected = benchmark_sweep(levels, gt_bboxes, thresholds[subset])
    np.testing.assert_allclose(result[:, subset], expected, rtol=1e-12)


@pytest.mark.parametrize('resize', ['bilinear', 'bicubic'])
def test_sweep_contours_with_either_way_of_resizing(resize):
    rng = np.random.default_rng(2)
    thresholds = loc.threshold_grid(0.05)
    gt_bboxes = [(4, 6, 20, 25), (15, 2, 29, 12)]
    for low in ((5, 5), (7, 4), (40, 50)):
        m = rng.random(low).astype(np.float32)
        result = loc.sweep_contours(m, (32, 36), gt_bboxes, thresholds, resize)
        levels = benchmark_levels(m, (32, 36), INTERPOLATION[resize])
        np.testing.assert_allclose(
            result, benchmark_sweep(levels, gt_bboxes, thresholds), rtol=1e-12
        )
        other = ({'bilinear', 'bicubic'} - {resize}).pop()
        different = loc.sweep_contours(m, (32, 36), gt_bboxes, thresholds, other)
        assert (np.array(result) != different).any()


def test_sweep_contours_without_boxes_to_hit():
    thresholds = [0, 0.5, 0.9]
    for gt_bboxes in (np.zeros((0, 4)), [[3, 0, 3, 9]]):
        for m in (np.eye(6), np.ones((6, 6))):
            largest, best = loc.sweep_contours(m, (6, 6), gt_bboxes, thresholds)
            assert largest.tolist() == best.tolist() == [0, 0, 0]


def test_threshold_grid():
    assert len(loc.threshold_grid(0.01)) == 100
    assert loc.threshold_grid(1).tolist() == [0]


@pytest.mark.parametrize(
    'call, message',
    [
        (lambda: loc.threshold_grid(0), 'step=0'),
        (lambda: loc.sweep_largest(np.eye(3), (5, 5), [0.5, 0.1]), 'rising'),
        (lambda: loc.sweep_largest(np.eye(3), (5, 5), []), 'at least one'),
        (lambda: loc.sweep_largest(np.eye(3), (5, 5), [0.5], '<'), "compare='<'"),
        (lambda: loc.sweep_contours(np.eye(3), (5, 5), [], [0, 1.0]), 'below 1'),
        (lambda: loc.sweep_contours(np.eye(3), (5, 5), [], [-0.1]), 'at least 0'),
        (
            lambda: loc.sweep_contours(np.eye(3), (5, 5), [], [0], 'nearest'),
            "resize='nearest'",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
