import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bas_mm import localization as loc
from tests.helpers.references import box_of, count_iou, flood_components, largest_box


def recipe_mask(pred_map, shape, threshold, compare):
    """The recipe's foreground, by torch; None where there is none to take."""
    m = torch.as_tensor(pred_map).float()
    if not torch.isfinite(m).all() or m.min() == m.max():
        return None
    m = (m - m.min()) / (m - m.min()).max()
    m = F.interpolate(m[None, None], shape, mode='bilinear', align_corners=False)[0, 0]
    mask = (m > threshold if compare == '>' else m >= threshold).numpy()
    return mask if mask.any() else None


@pytest.mark.parametrize('compare', ['>', '>='])
@pytest.mark.parametrize('threshold', [0.1, 0.5, 0.9])
def test_map_to_bbox_against_flood_fill(threshold, compare):
    rng = np.random.default_rng(0)
    for _ in range(20):
        low = rng.normal(size=rng.integers(1, 9, 2)).astype(np.float32)
        shape = tuple(int(x) for x in rng.integers(5, 40, 2))
        box = loc.map_to_bbox(torch.tensor(low), shape, threshold, compare)
        assert box.dtype == np.float32 and box.shape == (4,)
        mask = recipe_mask(low, shape, threshold, compare)
        expected = (0, 0, *shape[::-1]) if mask is None else largest_box(mask)
        assert tuple(box) == expected


def test_components_against_flood_fill():
    rng = np.random.default_rng(0)
    several = 0
    for _ in range(20):
        low = rng.normal(size=rng.integers(3, 9, 2)).astype(np.float32)
        shape = tuple(int(x) for x in rng.integers(10, 40, 2))
        boxes, masks = loc.map_components(low, shape, 0.6)
        # stable: of equal ones the first in raster order comes first
        expected = sorted(
            flood_components(recipe_mask(low, shape, 0.6, '>')), key=len, reverse=True
        )
        assert boxes.tolist() == [list(box_of(x)) for x in expected]
        for mask, pixels in zip(masks, expected, strict=True):
            assert mask.shape == shape and mask.dtype == bool
            assert mask.sum() == len(pixels) and mask[tuple(pixels.T)].all()
        assert (loc.map_to_bboxes(low, shape, 0.6) == boxes).all()
        several += len(boxes) > 1
    assert several > 10


def test_map_to_bbox_ties_take_the_first_in_raster_order():
    # OpenCV labels the lower left one first in some versions.
    pred_map = np.zeros((8, 8))
    pred_map[0, 6] = pred_map[1, 0] = pred_map[3, 3] = 1
    assert loc.map_to_bbox(pred_map, (8, 8), 0.5).tolist() == [6, 0, 7, 1]
    assert loc.map_to_bboxes(pred_map, (8, 8), 0.5).tolist() == [
        [6, 0, 7, 1],
        [0, 1, 1, 2],
        [3, 3, 4, 4],
    ]
    # The start of the left one comes later, though it reaches as high.
    pred_map[:] = 0
    pred_map[[0, 1, 2], [7, 6, 5]] = 1
    pred_map[[1, 2, 2], [0, 0, 1]] = 1
    assert loc.map_to_bbox(pred_map, (8, 8), 0.5).tolist() == [5, 0, 8, 3]


def test_map_to_bbox_size_counts_pixels_not_extent():
    pred_map = np.zeros((10, 10))
    pred_map[range(6), range(6)] = 1  # a diagonal: 6 pixels, one component
    pred_map[7:10, 1:4] = 1
    assert loc.map_to_bbox(pred_map, (10, 10), 0.5).tolist() == [1, 7, 4, 10]


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
@pytest.mark.parametrize('threshold', [0, 0.5, 'otsu'])
def test_no_contrast_gives_the_whole_view(pred_map, compare, threshold):
    box = loc.map_to_bbox(pred_map, (5, 7), threshold, compare)
    assert box.tolist() == [0, 0, 7, 5]
    boxes, masks = loc.map_components(pred_map, (5, 7), threshold, compare)
    assert boxes.tolist() == [[0, 0, 7, 5]]
    (mask,) = masks
    assert mask.shape == (5, 7) and mask.all()


def test_nothing_above_the_cut_gives_the_whole_view():
    pred_map = np.eye(4)
    assert loc.map_to_bbox(pred_map, (4, 4), 1, '>').tolist() == [0, 0, 4, 4]
    assert loc.map_to_bbox(pred_map, (4, 4), 1, '>=').tolist() == [0, 0, 4, 4]
    pred_map[0, 0] = 2
    assert loc.map_to_bbox(pred_map, (4, 4), 1, '>=').tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    'dtype', [torch.float16, torch.bfloat16, torch.float32, torch.float64]
)
def test_dtypes(dtype):
    pred_map = torch.arange(12.0).reshape(3, 4).to(dtype).requires_grad_()
    assert loc.map_to_bbox(pred_map, (3, 4), 0.5).tolist() == [0, 1, 4, 3]


def test_otsu_and_percentile_cut_the_view():
    pred_map = np.zeros((10, 10))
    pred_map[2:6, 3:8] = 0.4
    pred_map[3, 4] = 1
    assert loc.map_to_bbox(pred_map, (10, 10), 0.5).tolist() == [4, 3, 5, 4]
    assert loc.map_to_bbox(pred_map, (10, 10), 'otsu').tolist() == [3, 2, 8, 6]
    # 90 percent of the pixels are at most 0.4.
    assert loc.map_to_bbox(pred_map, (10, 10), 0.5, percentile=90).tolist() == (
        [3, 2, 8, 6]
    )


def test_mask_to_bboxes_of_an_empty_mask():
    boxes, count = loc.mask_to_bboxes(np.zeros((3, 4), bool))
    assert boxes.shape == (0, 4) and count.shape == (0,)


@pytest.mark.parametrize(
    'call, message',
    [
        (
            lambda: loc.map_to_bbox(np.zeros((1, 3, 3)), (5, 5), 0.1),
            r'one map of shape \(h, w\)',
        ),
        (lambda: loc.map_to_bbox(np.eye(3), (0, 5), 0.1), 'img_shape=.*above 0'),
        (lambda: loc.map_to_bbox(np.eye(3), (5,), 0.1), 'img_shape'),
        (lambda: loc.map_to_bbox(np.eye(3), (5, 5), 0.1, '<'), "compare='<'"),
        (lambda: loc.map_to_bbox(np.eye(3), (5, 5), 'best'), "got 'best'"),
        (lambda: loc.box_iou(np.zeros((2, 3)), np.zeros((1, 4))), r'\(n, 4\)'),
        (lambda: loc.box_area(np.zeros((1, 1, 4))), r'shape \(1, 1, 4\)'),
        (lambda: loc.center_box((4, 4), 1.5), 'side=1.5'),
        (lambda: loc.center_box((4, 4), 0), 'side=0'),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_box_iou_counts_pixels():
    rng = np.random.default_rng(0)
    a = np.sort(rng.integers(0, 9, (6, 2, 2)), 1).reshape(6, 4)
    b = np.sort(rng.integers(0, 9, (5, 2, 2)), 1).reshape(5, 4)
    b[:, 2:] += 1
    expected = [[count_iou(x, y) for y in b] for x in a]
    np.testing.assert_allclose(loc.box_iou(torch.tensor(a), b), expected)
    for box, row in zip(a, expected):
        assert loc.best_iou(box, b) == pytest.approx(max(row))


def test_box_iou_plain_and_degenerate():
    assert loc.box_iou([0, 0, 2, 2], [1, 1, 3, 3], offset=0)[0, 0] == 1 / 7
    assert loc.box_iou([0, 0, 2, 2], [2, 0, 4, 2], offset=0)[0, 0] == 0
    # A ground-truth box without area is never hit, not even by itself.
    gone = [0, 3, 0, 9]
    for offset in (0, 1):
        assert loc.box_iou([gone, [0, 0, 9, 9]], [gone], offset).tolist() == [[0], [0]]
    assert loc.box_iou(np.zeros((0, 4)), [[0, 0, 1, 1]]).shape == (0, 1)
    assert loc.best_iou([0, 0, 1, 1], np.zeros((0, 4))) == 0


def test_box_overlap():
    of_box, of_gt = loc.box_overlap([0, 0, 4, 4], [[2, 2, 6, 4], [1, 1, 1, 3]], 0)
    assert of_box.tolist() == [4 / 16, 0]
    assert of_gt.tolist() == [4 / 8, 0]
    of_box, of_gt = loc.box_overlap([0, 0, 3, 3], [[2, 2, 5, 3]])  # 4x4, 4x2 pixels
    assert of_box.tolist() == [4 / 16] and of_gt.tolist() == [4 / 8]
    assert [len(x) for x in loc.box_overlap([0, 0, 3, 3], [])] == [0, 0]


def test_image_independent_boxes():
    assert loc.whole_box((20, 30)).tolist() == [0, 0, 30, 20]
    np.testing.assert_allclose(loc.center_box((20, 30)), [4.5, 3, 25.5, 17], rtol=1e-6)
    assert loc.center_box((20, 30), 1).tolist() == [0, 0, 30, 20]
