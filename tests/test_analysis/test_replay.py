"""Annotations through a random pipeline."""

import cv2
import numpy as np
import pytest
from mmcv.transforms import Compose
from mmengine.registry import init_default_scope

from bas_mm.analysis.replay import replay, tint
from bas_mm.datasets import LoadLocAnnotations


@pytest.fixture
def drawn(tmp_path):
    """A black image with a red object, its box and its mask."""
    init_default_scope('mmpretrain')
    image = np.zeros((90, 120, 3), np.uint8)
    image[30:60, 40:70, 2] = 255
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    cv2.imwrite(str(tmp_path / 'mask.png'), image[..., 2])
    return dict(
        img_path=str(tmp_path / 'a.png'),
        seg_map_path=str(tmp_path / 'mask.png'),
        gt_bboxes=np.array([[40, 30, 70, 60]], np.float32),
        gt_label=1,
    )


PACK = [dict(type='PackInputs')]
GEOMETRY = [
    [],
    [dict(type='Resize', scale=(60, 75), backend='pillow')],
    [dict(type='RandomCrop', crop_size=64), dict(type='RandomFlip', prob=0.5)],
    [
        dict(type='RandomResizedCrop', scale=64),
        dict(type='RandomFlip', prob=0.5, direction=['horizontal', 'vertical']),
    ],
    [dict(type='RandomCrop', crop_size=100, padding=20, pad_if_needed=True)],
    [
        dict(type='ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4),
        dict(type='RandomCrop', crop_size=64),
    ],
    [dict(type='RandomCrop', crop_size=64), dict(type='Rotate', angle=10.0)],
]


@pytest.mark.parametrize('geometry', GEOMETRY)
def test_annotations_follow_the_pixels(drawn, geometry):
    """The object in the view tells where box and mask must be."""
    pipeline = Compose([dict(type='LoadImageFromFile'), *geometry, *PACK])
    np.random.seed(1)
    places = set()
    for _ in range(8):
        view, sample = replay(pipeline.transforms, drawn, LoadLocAnnotations())
        view = view.numpy().astype(int)
        seen = view[2] - view[1] > 60
        if not seen.any():
            assert sample.gt_bboxes[0, 2] == sample.gt_bboxes[0, 0]
            continue
        y, x = np.nonzero(seen)
        expected = [x.min(), y.min(), x.max() + 1, y.max() + 1]
        np.testing.assert_allclose(sample.gt_bboxes, [expected], atol=1)
        assert (sample.gt_seg_map != seen).mean() < 0.03
        places.add(tuple(expected))
    assert sample.gt_label.tolist() == [1]
    if any(t['type'].startswith('Random') for t in geometry):
        assert len(places) > 2


def test_colors_turned_round(drawn):
    pipeline = Compose(
        [
            dict(type='LoadImageFromFile'),
            dict(type='Invert', prob=1.0),
            dict(type='Resize', scale=(60, 45)),
            *PACK,
        ]
    )
    _, sample = replay(pipeline.transforms, drawn, LoadLocAnnotations())
    np.testing.assert_allclose(sample.gt_bboxes, [[20, 15, 35, 30]], atol=1)
    assert sample.gt_seg_map.sum() == pytest.approx(225, abs=40)


def test_view_is_the_one_of_the_plain_pipeline(drawn):
    pipeline = Compose(
        [
            dict(type='LoadImageFromFile'),
            dict(type='RandomCrop', crop_size=32),
            dict(type='RandomFlip', prob=0.5),
            *PACK,
        ]
    )
    views = []
    for run in (
        lambda: replay(pipeline.transforms, drawn, LoadLocAnnotations())[0],
        lambda: pipeline(dict(drawn))['inputs'],
    ):
        np.random.seed(3)
        views.append([run().numpy() for _ in range(4)])
    np.testing.assert_array_equal(*views)


def test_no_annotations(drawn):
    pipeline = Compose([dict(type='LoadImageFromFile'), *PACK])
    info = dict(img_path=drawn['img_path'], gt_label=0)
    _, sample = replay(pipeline.transforms, info, LoadLocAnnotations())
    assert 'gt_bboxes' not in sample and 'gt_seg_map' not in sample


def test_ignored_pixels(drawn):
    mask = cv2.imread(drawn['seg_map_path'], 0)
    mask[:10] = 100
    cv2.imwrite(drawn['seg_map_path'], mask)
    pipeline = Compose([dict(type='LoadImageFromFile'), *PACK])
    _, sample = replay(pipeline.transforms, drawn, LoadLocAnnotations(128, ignore=100))
    assert (sample.gt_seg_map[:10] == 255).all()
    assert (sample.gt_seg_map[30:60, 40:70] == 1).all()
    assert (sample.gt_seg_map == 0).sum() == 90 * 120 - 10 * 120 - 900


def test_pipeline_that_packs_nothing(drawn):
    with pytest.raises(ValueError, match='must end in PackInputs'):
        replay(
            Compose([dict(type='LoadImageFromFile')]).transforms,
            drawn,
            LoadLocAnnotations(),
        )


def test_tint():
    view = np.full((20, 20, 3), 100, np.uint8)
    mask = np.zeros((20, 20), np.uint8)
    mask[5:15, 5:15], mask[:3] = 1, 255
    drawn = tint(view, mask)
    assert (view == 100).all()
    assert drawn[10, 10].tolist() == [70, 146, 146]
    assert drawn[5, 10].tolist() == [0, 255, 255]
    assert drawn[18, 18].tolist() == [100] * 3
    assert drawn[1, 10].tolist() == [108] * 3
