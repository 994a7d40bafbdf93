import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bas_mm.localization import ViewFrame


def resized(view, image):
    """The frame of a view that is the whole image, resized."""
    scale = np.array([view[1] / image[1], view[0] / image[0]])
    return ViewFrame(view, image, scale, np.zeros(2))


def test_boxes_to_image():
    frame = resized((48, 48), (120, 200))
    boxes = frame.boxes_to_image(np.array([[5, 10, 45, 20], [0, 0, 48, 48]]))
    assert boxes.dtype == np.float32
    np.testing.assert_allclose(
        boxes, [[5 * 200 / 48, 25, 45 * 200 / 48, 50], [0, 0, 200, 120]], rtol=1e-6
    )
    # resized to 64x64, then the middle 48x48
    crop = frame._replace(scale=np.array([64 / 200, 64 / 120]), shift=-np.full(2, 8.0))
    np.testing.assert_allclose(
        crop.boxes_to_image(np.array([[0, 0, 48, 48]])), [[25, 15, 175, 105]], rtol=1e-6
    )
    assert frame.boxes_to_image(np.zeros((0, 4))).shape == (0, 4)


def test_boxes_are_clipped_to_the_image():
    # a view with a border of 4 pixels around the image
    frame = ViewFrame((18, 28), (10, 20), np.ones(2), np.full(2, 4.0))
    boxes = frame.boxes_to_image(np.array([[0, 0, 28, 18], [6, 5, 7, 9]]))
    assert boxes.tolist() == [[0, 0, 20, 10], [2, 1, 3, 5]]


@pytest.mark.parametrize('image', [(33, 91), (5, 7), (2, 3), (1, 1), (50, 70)])
def test_map_is_placed_as_a_bilinear_resize(image):
    array = torch.rand(5, 7, generator=torch.Generator().manual_seed(0))
    ours = resized((50, 70), image).map_to_image(array)
    theirs = F.interpolate(
        array[None, None], image, mode='bilinear', align_corners=False
    )[0, 0]
    assert ours.dtype == np.float32
    assert np.abs(ours - theirs.numpy()).max() < 1e-5


def test_map_of_a_crop_is_the_part_of_the_whole():
    rng = np.random.default_rng(0)
    whole = rng.random((64, 64)).astype(np.float32)
    image, scale = (100, 90), np.array([64 / 90, 64 / 100])
    frame = ViewFrame((64, 64), image, scale, np.zeros(2))
    crop = ViewFrame((48, 48), image, scale, -np.full(2, 8.0))
    expected = frame.map_to_image(whole)
    found = crop.map_to_image(whole[8:56, 8:56])
    places = [(np.arange(n) + 0.5) * a for n, a in zip(image, scale[::-1])]
    # where bilinear weights do not reach over the edge of the crop
    inside = np.ix_(*((p > 8.5) & (p < 55.5) for p in places))
    outside = [(p < 8) | (p > 56) for p in places]
    np.testing.assert_allclose(found[inside], expected[inside], atol=1e-5)
    assert found[inside].size > 3500 and outside[0].sum() > 20
    assert not found[outside[0]].any() and not found[:, outside[1]].any()


def test_places():
    pred_map = np.zeros((48, 48))
    pred_map[10:20, 5:25] = 3
    pred_map[30:35, 40:45] = 2
    boxes, whole, masks = resized((48, 48), (96, 144)).places(pred_map, 0.5)
    assert boxes.tolist() == [[15, 20, 75, 40], [120, 60, 135, 70]]
    assert whole.shape == (96, 144) and (whole.min(), whole.max()) == (0, 1)
    masks = list(masks)
    assert len(masks) == 2
    for mask, (x0, y0, x1, y1) in zip(masks, boxes.astype(int)):
        assert mask.shape == (96, 144) and mask.dtype == bool
        expected = np.zeros_like(mask)
        expected[y0:y1, x0:x1] = True
        # bilinear: rounded at the corners
        assert (mask != expected).sum() <= 4 and mask.sum() > 0.9 * expected.sum()


def test_no_mask_is_empty_however_small_the_image():
    pred_map = np.zeros((48, 48))
    pred_map[3, 5] = pred_map[40, 44] = 1
    for image in ((4, 4), (1, 1), (2, 9)):
        boxes, whole, masks = resized((48, 48), image).places(pred_map, 0.5)
        masks = list(masks)
        assert len(boxes) == len(masks) == 2
        assert whole.shape == image
        assert all(mask.shape == image and mask.any() for mask in masks)


def test_no_contrast_gives_the_whole_view():
    crop = ViewFrame((8, 8), (8, 16), np.ones(2), np.array([-4.0, 0]))
    boxes, whole, masks = crop.places(np.ones((3, 3)), 0.5)
    assert boxes.tolist() == [[4, 0, 12, 8]]
    assert not whole.any()
    (mask,) = masks
    assert mask[:, 4:12].all() and mask.sum() == 64


def test_options_reach_the_cut():
    pred_map = np.zeros((10, 10))
    pred_map[2:6, 3:8] = 0.4
    pred_map[3, 4] = 1
    frame = resized((10, 10), (10, 10))
    for threshold, percentile in (('otsu', None), (0.5, 90)):
        boxes, _, _ = frame.places(pred_map, threshold, percentile)
        assert boxes.tolist() == [[3, 2, 8, 6]]
    assert frame.places(pred_map, 0.5)[0].tolist() == [[4, 3, 5, 4]]
    with pytest.raises(ValueError, match=r'one map of shape \(h, w\)'):
        frame.map_to_image(np.zeros((1, 2, 2)))
