import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import CenterCrop, Resize
from PIL import Image

from bas_mm.datasets import (
    LoadImageFromFile,
    LoadLocAnnotations,
    PackLocInputs,
    TenCrop,
)


def sample(h, w, boxes, seed=0):
    rng = np.random.default_rng(seed)
    return dict(
        img=rng.integers(0, 256, (h, w, 3), dtype=np.uint8),
        img_path='a.jpg',
        img_shape=(h, w),
        ori_shape=(h, w),
        gt_label=1,
        gt_bboxes=np.array(boxes, np.float32).reshape(-1, 4),
    )


@pytest.mark.parametrize(
    'threshold, ignore, wanted',
    [
        (1, None, [0, 1, 1, 1, 1]),
        (128, None, [0, 0, 0, 1, 1]),
        (1, 255, [0, 1, 1, 1, 255]),
        (128, 1, [0, 255, 0, 1, 1]),
    ],
)
def test_mask_values(tmp_path, threshold, ignore, wanted):
    path = str(tmp_path / 'm.png')
    cv2.imwrite(path, np.array([[0, 1, 127, 128, 255]], np.uint8))
    results = LoadLocAnnotations(threshold, ignore)(
        dict(img=np.zeros((1, 5, 3), np.uint8), seg_map_path=path)
    )
    assert results['gt_seg_map'].dtype == np.uint8
    assert results['gt_seg_map'].tolist() == [wanted]
    assert 'gt_bboxes' not in results


@pytest.mark.parametrize('mode', ['1', 'L', 'P', 'LA', 'RGB', 'RGBA'])
def test_mask_kinds(tmp_path, mode):
    path = str(tmp_path / 'm.png')
    gray = np.zeros((6, 7), np.uint8)
    gray[2:4, 3:6] = 255
    image = Image.fromarray(gray)
    if mode == 'P':  # index 1 is foreground, its color does not matter
        image = Image.fromarray(gray // 255).convert('L')
        image.putpalette([0, 0, 0, 128, 0, 0])
    else:
        image = image.convert(mode)
    image.save(path)
    results = LoadLocAnnotations()(
        dict(img=np.zeros((6, 7, 3), np.uint8), seg_map_path=path)
    )
    np.testing.assert_array_equal(results['gt_seg_map'], gray // 255)


def test_annotations_absent_and_wrong(tmp_path):
    img = np.zeros((6, 7, 3), np.uint8)
    assert set(LoadLocAnnotations()(dict(img=img))) == {'img'}
    path = str(tmp_path / 'm.png')
    cv2.imwrite(path, np.zeros((7, 6), np.uint8))
    with pytest.raises(ValueError, match='6x7 pixels, its image 7x6'):
        LoadLocAnnotations()(dict(img=img, seg_map_path=path))
    cv2.imwrite(path, np.arange(126, dtype=np.uint8).reshape(6, 7, 3))
    with pytest.raises(ValueError, match='color image'):
        LoadLocAnnotations()(dict(img=img, seg_map_path=path))
    with pytest.raises(FileNotFoundError):
        LoadLocAnnotations()(dict(img=img, seg_map_path=path + 'x'))
    with pytest.raises(ValueError, match=r'\(n, 4\).* \(4,\)'):
        LoadLocAnnotations()(dict(img=img, gt_bboxes=[1, 2, 3, 4]))
    with pytest.raises(ValueError, match='threshold'):
        LoadLocAnnotations(threshold=0)
    boxes = LoadLocAnnotations()(dict(img=img, gt_bboxes=[[1, 2, 3, 4]]))
    assert boxes['gt_bboxes'].dtype == np.float32


@pytest.mark.parametrize('h, w', [(256, 256), (181, 333), (64, 64), (500, 375)])
def test_boxes_and_masks_move_together(h, w):
    """Against plain arithmetic, through Resize and both crops."""
    rng = np.random.default_rng(h)
    for _ in range(5):
        x1, x2 = np.sort(rng.choice(w + 1, 2, replace=False))
        y1, y2 = np.sort(rng.choice(h + 1, 2, replace=False))
        results = sample(h, w, [x1, y1, x2, y2])
        results['gt_seg_map'] = np.zeros((h, w), np.uint8)
        results['gt_seg_map'][y1:y2, x1:x2] = 1
        results = Resize((256, 256), backend='pillow')(results)
        boxes = {}
        for crop in (CenterCrop(224), TenCrop(224)):
            moved = crop(
                {
                    k: v.copy() if isinstance(v, np.ndarray) else v
                    for k, v in results.items()
                }
            )
            sample_ = PackLocInputs()(moved)['data_samples']
            boxes[type(crop)] = sample_.gt_bboxes
            fx, fy = 256 / w, 256 / h
            want = np.clip(
                [x1 * fx - 16, y1 * fy - 16, x2 * fx - 16, y2 * fy - 16], 0, 224
            )
            np.testing.assert_allclose(
                sample_.gt_bboxes[0].numpy(), want, rtol=1e-5, atol=1e-4
            )
            mx, my, mw, mh = cv2.boundingRect(sample_.gt_seg_map.numpy())
            if mw and mh:
                # nearest neighbor: off by less than a source pixel
                np.testing.assert_allclose(
                    [mx, my, mx + mw, my + mh], want, atol=max(fx, fy, 1) / 2 + 0.51
                )
        assert torch.equal(*boxes.values())


def test_ten_crops_equal_torchvision():
    from torchvision.transforms.functional import ten_crop

    results = sample(11, 14, [[2, 3, 9, 8], [0, 0, 1, 1]])
    image = torch.from_numpy(results['img'].copy()).permute(2, 0, 1)
    packed = PackLocInputs()(TenCrop((6, 8))(results))
    # torchvision: tl, tr, bl, br, center, then those of the mirrored image,
    # whose left corners are the right ones mirrored
    reference = torch.stack(ten_crop(image, (8, 6)))
    assert torch.equal(packed['inputs'], reference[4])
    order = [0, 1, 2, 3, 9, 6, 5, 8, 7]
    assert torch.equal(packed['crops'], reference[order])
    assert packed['crops'].dtype == torch.uint8
    # center crop at x 4, y 2 (banker's rounding of 1.5): the second vanishes
    np.testing.assert_array_equal(
        packed['data_samples'].gt_bboxes, [[0, 1, 5, 6], [0, 0, 0, 0]]
    )


def test_crop_sizes():
    results = TenCrop(8)(sample(8, 8, []))
    assert results['crops'].shape == (9, 3, 8, 8)
    for i in range(4):  # the crop is the image
        np.testing.assert_array_equal(
            results['crops'][i], results['img'].transpose(2, 0, 1)
        )
    assert results['gt_bboxes'].shape == (0, 4)
    with pytest.raises(ValueError, match='9x9 pixels, but a.jpg has 20x8'):
        TenCrop(9)(sample(8, 20, []))
    gray = dict(img=np.zeros((8, 9), np.uint8))
    assert TenCrop([5, 4])(gray)['crops'].shape == (9, 1, 4, 5)


def test_pack():
    results = sample(8, 9, [[1, 2, 3, 4]])
    results['gt_bboxes'] = results['gt_bboxes'].astype(np.float64)
    packed = PackLocInputs()(results)
    assert set(packed) == {'inputs', 'data_samples'}
    data = packed['data_samples']
    assert data.gt_bboxes.dtype == torch.float32
    assert data.gt_label.tolist() == [1]
    assert data.img_shape == (8, 9) and data.img_path == 'a.jpg'
    assert results['gt_bboxes'].dtype == np.float64  # input left alone
    del results['gt_bboxes'], results['gt_label']
    assert PackLocInputs()(results)['data_samples'].keys() == []


@pytest.mark.parametrize('crop', [CenterCrop((32, 32)), TenCrop(32), None])
@pytest.mark.parametrize('size', [(120, 96), (90, 160)])
def test_the_pixels_of_the_image_that_the_view_shows(tmp_path, crop, size):
    """Brought to its size they are the view."""
    w, h = size
    smooth = cv2.resize(
        np.random.default_rng(0).integers(0, 256, (4, 5, 3)).astype(np.uint8),
        (w, h),
        interpolation=cv2.INTER_CUBIC,
    )
    path = str(tmp_path / 'a.png')
    cv2.imwrite(path, smooth)
    results = LoadImageFromFile(keep_detail=True)(dict(img_path=path))
    results = Resize(scale=(40, 40), backend='pillow')(results)
    if crop is not None:
        results = crop(results)
    packed = PackLocInputs(meta_keys=())(results)
    detail = packed['detail'].permute(1, 2, 0).numpy()
    side = 40 if crop is None else 32
    assert abs(detail.shape[0] - h * side / 40) <= 1
    assert abs(detail.shape[1] - w * side / 40) <= 1
    y, x = (h - detail.shape[0]) // 2, (w - detail.shape[1]) // 2
    assert (detail == smooth[y:, x:][: detail.shape[0], : detail.shape[1]]).all()
    view = packed['inputs'].permute(1, 2, 0).numpy().astype(float)
    again = cv2.resize(detail, (side, side), interpolation=cv2.INTER_AREA)
    assert np.abs(view - again).mean() < 3


def test_no_detail_where_it_is_not_kept(tmp_path):
    path = str(tmp_path / 'a.png')
    cv2.imwrite(path, np.zeros((9, 8, 3), np.uint8))
    packed = PackLocInputs(meta_keys=())(LoadImageFromFile()(dict(img_path=path)))
    assert 'detail' not in packed
