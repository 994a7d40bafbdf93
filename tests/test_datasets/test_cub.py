import os
import os.path as osp

import cv2
import numpy as np
import pytest

from bas_mm.datasets import CUBLocalization


def write(root, name, text):
    with open(osp.join(root, name), 'w') as file:
        file.write(text)


@pytest.fixture
def root(tmp_path):
    """Three images of two species, the first and last with a mask."""
    root = str(tmp_path / 'cub')
    names = ['001.Red_bird/a', '001.Red_bird/b', '002.Blue_bird/c']
    for name in names:
        path = osp.join(root, 'images', name + '.jpg')
        os.makedirs(osp.dirname(path), exist_ok=True)
        cv2.imwrite(path, np.full((200, 300, 3), 90, np.uint8))
    for name in (names[0], names[2]):
        path = osp.join(root, 'segmentations', name + '.png')
        os.makedirs(osp.dirname(path), exist_ok=True)
        mask = np.zeros((200, 300), np.uint8)
        mask[40:101, 60:121] = 200
        mask[0, 0] = 51  # one annotator of five
        cv2.imwrite(path, mask)
    write(
        root, 'images.txt', ''.join(f'{i + 1} {n}.jpg\n' for i, n in enumerate(names))
    )
    write(root, 'image_class_labels.txt', '1 1\n2 1\n3 2\n')
    write(root, 'train_test_split.txt', '1 1\n2 0\n3 0\n')
    write(
        root,
        'bounding_boxes.txt',
        '1 60.0 40.0 61.0 61.0\n2 1.5 2.5 10.25 20.0\n3 60 40 61 61\n',
    )
    write(root, 'classes.txt', '1 001.Red_bird\n2 002.Blue_bird\n')
    return root


def test_infos(root):
    train = CUBLocalization(data_root=root, split='train')
    test = CUBLocalization(data_root=root, split='test')
    assert train.CLASSES == test.CLASSES == ('Red_bird', 'Blue_bird')
    assert (len(train), len(test)) == (1, 2)
    info = test.get_data_info(0)
    assert info['gt_label'] == 0
    assert info['img_path'].endswith('images/001.Red_bird/b.jpg')
    assert info['gt_bboxes'].dtype == np.float32
    np.testing.assert_array_equal(info['gt_bboxes'], [[1.5, 2.5, 11.75, 22.5]])
    assert 'seg_map_path' not in info
    info = test.get_data_info(1)
    assert info['gt_label'] == 1
    assert osp.samefile(
        info['seg_map_path'], osp.join(root, 'segmentations', '002.Blue_bird', 'c.png')
    )


def test_optional_files(root):
    os.remove(osp.join(root, 'bounding_boxes.txt'))
    os.remove(osp.join(root, 'classes.txt'))
    dataset = CUBLocalization(data_root=root, split='test')
    assert len(dataset.CLASSES) == 200
    assert 'gt_bboxes' not in dataset.get_data_info(0)


def test_given_classes_win(root):
    dataset = CUBLocalization(data_root=root, metainfo=dict(classes=('x', 'y')))
    assert dataset.CLASSES == ('x', 'y')
    dataset = CUBLocalization(data_root=root, classes=['v', 'w'])
    assert dataset.CLASSES == ('v', 'w')


@pytest.mark.parametrize(
    'name, text, match',
    [
        (
            'bounding_boxes.txt',
            '1 1 1 5 5\n2 1 1 5\n3 1 1 5 5\n',
            r'bounding_boxes\.txt, line 2: expected `id x y w h`, got `2 1 1 5`',
        ),
        ('bounding_boxes.txt', '1 1 1 5 5\n2 1 1 x 5\n3 1 1 5 5\n', 'line 2'),
        (
            'bounding_boxes.txt',
            '1 1 1 5 5\n2 1 1 0 5\n3 1 1 5 5\n',
            r'b\.jpg \(id 2\): the box \(1, 1, 1, 6\) has no area .1 of 2 boxes',
        ),
        ('bounding_boxes.txt', '1 1 1 5 5\n2 1 1 nan 5\n3 1 1 5 5\n', 'id 2'),
        (
            'bounding_boxes.txt',
            '1 1 1 5 5\n3 1 1 5 5\n',
            r'1 ids are in `.*images\.txt` but not in `.*bounding_boxes\.txt`, the '
            'first is 2',
        ),
        (
            'bounding_boxes.txt',
            '1 1 1 5 5\n2 1 1 5 5\n3 1 1 5 5\n9 1 1 5 5\n',
            r'in `.*bounding_boxes\.txt` but not in `.*images\.txt`, .* is 9',
        ),
        (
            'image_class_labels.txt',
            '1 1\n2 1\n3 3\n',
            'id 3: expected a class from 1 to 2, got 3',
        ),
        (
            'image_class_labels.txt',
            '1 1\n2 1\n2 2\n3 2\n',
            'line 3: the id 2 occurs twice',
        ),
        ('train_test_split.txt', '1 1\n2 0\n3 2\n', 'id 3: expected 1'),
        ('classes.txt', '1 a\n3 b\n', 'ids must be 1 to 2'),
        ('images.txt', '1\n', r'images\.txt, line 1: expected `id path`'),
    ],
)
def test_bad_lists(root, name, text, match):
    write(root, name, text)
    with pytest.raises(ValueError, match=match):
        CUBLocalization(data_root=root, split='test')


def test_missing(root):
    with pytest.raises(FileNotFoundError, match='--data-root DIR.*data_root'):
        CUBLocalization(data_root=root + '_no')
    os.remove(osp.join(root, 'images.txt'))
    with pytest.raises(FileNotFoundError, match=r'`images\.txt` is missing'):
        CUBLocalization(data_root=root)
    with pytest.raises(ValueError, match="must be 'train' or 'test'"):
        CUBLocalization(data_root=root, split='val')


def test_config_training_packs_the_label_only(build, root):
    item = build('cub', 'train', root)[0]
    assert set(item) == {'inputs', 'data_samples'}
    assert tuple(item['inputs'].shape) == (3, 224, 224)
    assert set(item['data_samples'].keys()) == {'gt_label'}
    assert not {
        k
        for k in item['data_samples'].all_keys()
        if 'box' in k or 'seg' in k or 'mask' in k
    }


@pytest.mark.parametrize('part', ['val', 'test'])
def test_config_test_pipeline(build, root, part):
    item = build('cub', part, root)[1]
    assert ('crops' in item) == (part == 'test')
    sample = item['data_samples']
    assert tuple(item['inputs'].shape) == (3, 224, 224)
    assert sample.ori_shape == (200, 300)
    assert tuple(sample.img_shape[:2]) == (224, 224)
    fx, fy = 256 / 300, 256 / 200
    np.testing.assert_allclose(
        sample.gt_bboxes.numpy(),
        [[60 * fx - 16, 40 * fy - 16, 121 * fx - 16, 101 * fy - 16]],
        rtol=1e-6,
    )
    mask = sample.gt_seg_map.numpy()
    assert mask.shape == (224, 224) and set(np.unique(mask)) == {0, 1}
    x, y, w, h = cv2.boundingRect(mask)
    np.testing.assert_allclose(
        [x, y, x + w, y + h], sample.gt_bboxes.numpy()[0], atol=1
    )


def test_mini(mini):
    root = mini('CUB_200_2011_mini')
    train = CUBLocalization(data_root=root, split='train')
    test = CUBLocalization(data_root=root, split='test')
    assert (len(train), len(test), len(test.CLASSES)) == (180, 143, 6)
    assert test.CLASSES == CUBLocalization.METAINFO['classes'][:6]
    for info in test.load_data_list():
        h, w = cv2.imread(info['img_path']).shape[:2]
        x1, y1, x2, y2 = info['gt_bboxes'][0]
        assert 0 <= x1 < x2 <= w + 1 and 0 <= y1 < y2 <= h + 1
