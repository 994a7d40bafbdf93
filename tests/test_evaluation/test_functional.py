import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bas_mm.evaluation import functional as fn


def reference_box(pred_map, shape, threshold, compare):
    """The recipe's box, from torch and a flood fill."""
    m = torch.as_tensor(pred_map).float()
    whole = (0, 0, shape[1], shape[0])
    if not torch.isfinite(m).all() or m.min() == m.max():
        return whole
    m = (m - m.min()) / (m - m.min()).max()
    m = F.interpolate(m[None, None], shape, mode='bilinear', align_corners=False)[0, 0]
    mask = (m > threshold if compare == '>' else m >= threshold).numpy()
    left, best = mask.copy(), []
    for start in zip(*np.nonzero(mask)):
        if not left[start]:
            continue
        todo, found = [start], []
        left[start] = False
        while todo:
            y, x = todo.pop()
            found.append((y, x))
            for ny in range(max(y - 1, 0), min(y + 2, shape[0])):
                for nx in range(max(x - 1, 0), min(x + 2, shape[1])):
                    if left[ny, nx]:
                        left[ny, nx] = False
                        todo.append((ny, nx))
        best = max(best, found, key=len)
    if not best:
        return whole
    y, x = np.array(best).T
    return x.min(), y.min(), x.max() + 1, y.max() + 1


@pytest.mark.parametrize('compare', ['>', '>='])
@pytest.mark.parametrize('threshold', [0.1, 0.5, 0.9])
def test_map_to_bbox_against_flood_fill(threshold, compare):
    rng = np.random.default_rng(0)
    for _ in range(20):
        low = rng.normal(size=rng.integers(1, 9, 2)).astype(np.float32)
        shape = tuple(int(x) for x in rng.integers(5, 40, 2))
        box = fn.map_to_bbox(torch.tensor(low), shape, threshold, compare)
        assert box.dtype == np.float32 and box.shape == (4,)
        assert tuple(box) == reference_box(low, shape, threshold, compare)


def test_map_to_bbox_ties_take_the_first_in_raster_order():
    # OpenCV labels the lower left one first in some versions.
    pred_map = np.zeros((8, 8))
    pred_map[0, 6] = pred_map[1, 0] = pred_map[3, 3] = 1
    assert fn.map_to_bbox(pred_map, (8, 8), 0.5).tolist() == [6, 0, 7, 1]
    assert fn.map_to_bboxes(pred_map, (8, 8), 0.5).tolist() == [
        [6, 0, 7, 1],
        [0, 1, 1, 2],
        [3, 3, 4, 4],
    ]
    # The start of the left one comes later, though it reaches as high.
    pred_map[:] = 0
    pred_map[[0, 1, 2], [7, 6, 5]] = 1
    pred_map[[1, 2, 2], [0, 0, 1]] = 1
    assert fn.map_to_bbox(pred_map, (8, 8), 0.5).tolist() == [5, 0, 8, 3]


def test_map_to_bbox_size_counts_pixels_not_extent():
    pred_map = np.zeros((10, 10))
    pred_map[range(6), range(6)] = 1  # a diagonal: 6 pixels, one component
    pred_map[7:10, 1:4] = 1
    assert fn.map_to_bbox(pred_map, (10, 10), 0.5).tolist() == [1, 7, 4, 10]


@pytest.mark.parametrize(
    'pred_map',
    [
        np.zeros((3, 3)),
        np.full((3, 3), 7.0),
        np.zeros((0, 3)),
        np.array([[0, np.nan], [1, 2]]),
        np.array([[0, np.inf], [1, 2]]),
        np.full((2, 2), np.nan),
        torch.full((4, 4), 0.3).half(),
        np.full((2, 2), 3, np.uint8),
    ],
)
@pytest.mark.parametrize('compare', ['>', '>='])
def test_map_that_says_nothing_gives_the_whole_view(pred_map, compare):
    for threshold in (0, 0.5):
        box = fn.map_to_bbox(pred_map, (5, 7), threshold, compare)
        assert box.tolist() == [0, 0, 7, 5]
    assert (fn.sweep_largest(pred_map, (5, 7), [0, 0.5], compare) == [0, 0, 7, 5]).all()
    assert not fn.quantize_map(pred_map, (5, 7)).any()


def test_empty_mask_gives_the_whole_view():
    pred_map = np.eye(4)
    assert fn.map_to_bbox(pred_map, (4, 4), 1, '>').tolist() == [0, 0, 4, 4]
    assert fn.map_to_bbox(pred_map, (4, 4), 1, '>=').tolist() == [0, 0, 4, 4]
    pred_map[0, 0] = 2
    assert fn.map_to_bbox(pred_map, (4, 4), 1, '>=').tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    'dtype', [torch.float16, torch.bfloat16, torch.float32, torch.float64]
)
def test_dtypes(dtype):
    pred_map = torch.arange(12.0).reshape(3, 4).to(dtype).requires_grad_()
    assert fn.map_to_bbox(pred_map, (3, 4), 0.5).tolist() == [0, 1, 4, 3]


def test_resize_map_equals_interpolate():
    rng = np.random.default_rng(0)
    for low, high in [
        ((7, 9), (30, 20)),
        ((14, 14), (224, 224)),
        ((20, 30), (7, 8)),
        ((1, 5), (4, 4)),
    ]:
        m = rng.random(low).astype(np.float32)
        expected = F.interpolate(
            torch.tensor(m)[None, None], high, mode='bilinear', align_corners=False
        )[0, 0].numpy()
        np.testing.assert_allclose(fn.resize_map(m, high), expected, atol=1e-6)


def test_quantize_map():
    levels = np.arange(256.0).reshape(16, 16)
    assert (fn.quantize_map(levels * 3 - 5, (16, 16)) == levels).all()
    # All 256 levels are reached, whatever the resolution.
    assert fn.quantize_map(np.random.rand(4, 4), (30, 30)).max() == 255


@pytest.mark.parametrize('shape', [(1, 1), (1, 7), (7, 1), (7, 7)])
def test_a_constant_map_stays_constant(shape):
    for value in np.random.default_rng(0).random(40, np.float32):
        pred_map = np.full(shape, value)
        assert not fn.scale_map(pred_map, (224, 224)).any()
        assert not fn.quantize_map(pred_map, (224, 224)).any()


@pytest.mark.parametrize(
    'call, message',
    [
        (
            lambda: fn.map_to_bbox(np.zeros((1, 3, 3)), (5, 5), 0.1),
            r'one map of shape \(h, w\)',
        ),
        (lambda: fn.map_to_bbox(np.eye(3), (0, 5), 0.1), 'img_shape=.*above 0'),
        (lambda: fn.map_to_bbox(np.eye(3), (5,), 0.1), 'img_shape'),
        (lambda: fn.map_to_bbox(np.eye(3), (5, 5), 0.1, '<'), "compare='<'"),
        (lambda: fn.box_iou(np.zeros((2, 3)), np.zeros((1, 4))), r'\(n, 4\)'),
        (lambda: fn.center_box((4, 4), 1.5), 'side=1.5'),
        (lambda: fn.threshold_grid(0), 'step=0'),
        (lambda: fn.sweep_largest(np.eye(3), (5, 5), [0.5, 0.1]), 'rising'),
        (lambda: fn.sweep_contours(np.eye(3), (5, 5), [], [0, 1.0]), 'below 1'),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def count_iou(a, b):
    """IoU with extents of +1, by counting pixels."""
    pixels = [
        {(x, y) for x in range(c[0], c[2] + 1) for y in range(c[1], c[3] + 1)}
        for c in (a, b)
    ]
    return len(pixels[0] & pixels[1]) / len(pixels[0] | pixels[1])


def test_box_iou_counts_pixels():
    rng = np.random.default_rng(0)
    a = np.sort(rng.integers(0, 9, (6, 2, 2)), 1).reshape(6, 4)
    b = np.sort(rng.integers(0, 9, (5, 2, 2)), 1).reshape(5, 4)
    b[:, 2:] += 1
    expected = [[count_iou(x, y) for y in b] for x in a]
    np.testing.assert_allclose(fn.box_iou(torch.tensor(a), b), expected)


def test_box_iou_plain_and_degenerate():
    assert fn.box_iou([0, 0, 2, 2], [1, 1, 3, 3], offset=0)[0, 0] == 1 / 7
    assert fn.box_iou([0, 0, 2, 2], [2, 0, 4, 2], offset=0)[0, 0] == 0
    # A ground-truth box without area is never hit, not even by itself.
    gone = [0, 3, 0, 9]
    for offset in (0, 1):
        assert fn.box_iou([gone, [0, 0, 9, 9]], [gone], offset).tolist() == [[0], [0]]
    assert fn.box_iou(np.zeros((0, 4)), [[0, 0, 1, 1]]).shape == (0, 1)
    assert fn.best_iou([0, 0, 1, 1], np.zeros((0, 4))) == 0


def test_blind_boxes():
    assert fn.whole_box((20, 30)).tolist() == [0, 0, 30, 20]
    np.testing.assert_allclose(fn.center_box((20, 30)), [4.5, 3, 25.5, 17], rtol=1e-6)


def test_topk_labels():
    assert fn.topk_labels(torch.tensor([1.0, 3, 2]), 2).tolist() == [1, 2]
    assert fn.topk_labels([1, 3, 3, 3], 2).tolist() == [1, 2]
    assert fn.topk_labels([1, 2], 5).tolist() == [1, 0]
    assert fn.topk_labels([np.nan, 2, np.nan], 5).tolist() == [1]


def test_class_mean():
    assert fn.class_mean(np.array([1, 0, 1, 1.0]), [7, 7, 7, 2]) == (
        pytest.approx((2 / 3 + 1) / 2)
    )
    assert np.isnan(fn.class_mean(np.zeros(0), []))


@pytest.mark.parametrize('compare', ['>', '>='])
def test_sweep_largest_equals_one_by_one(compare):
    rng = np.random.default_rng(1)
    thresholds = np.arange(101) / 100
    for low, shape in [((14, 14), (56, 40)), ((6, 6), (6, 6)), ((3, 9), (33, 20))]:
        for round_ in (False, True):  # values on the thresholds themselves
            m = rng.random(low).astype(np.float32)
            m = np.round(m, 1) if round_ else m
            expected = [fn.map_to_bbox(m, shape, t, compare) for t in thresholds]
            np.testing.assert_array_equal(
                fn.sweep_largest(m, shape, thresholds, compare), expected
            )


def contour_sweep(pred_map, gt_bboxes, thresholds):
    """The benchmark's definition, written out."""
    q = fn.quantize_map(pred_map, pred_map.shape)
    h, w = q.shape
    results = []
    for t in thresholds:
        mask = (q > int(t * q.max())).astype(np.uint8)
        found = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]
        found = sorted(found, key=cv2.contourArea, reverse=True)  # stable
        boxes = []
        for contour in found:
            x, y, dx, dy = cv2.boundingRect(contour)
            boxes.append((x, y, min(x + dx, w - 1), min(y + dy, h - 1)))
        boxes = boxes or [(0, 0, 0, 0)]
        iou = [max(count_iou(b, g) for g in gt_bboxes) for b in boxes]
        results.append((iou[0], max(iou)))
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
    thresholds = fn.threshold_grid(step)
    subset = np.linspace(0, len(thresholds) - 1, 40).astype(int)
    result = np.array(
        fn.sweep_contours(m, m.shape, np.array(gt_bboxes) + 0.7, thresholds)
    )
    np.testing.assert_allclose(
        result[:, subset], contour_sweep(m, gt_bboxes, thresholds[subset]), rtol=1e-12
    )


def test_counts_survive_packing():
    counts = np.array([[0, 1, 255], [256, 70000, 2**32 - 1]])
    total = fn.unpack_counts([fn.pack_counts(counts)] * 3, (2, 3))
    assert (total == 3 * counts).all()
