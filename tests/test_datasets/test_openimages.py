import os
import os.path as osp

import cv2
import numpy as np
import pytest

from bas_mm.datasets import LoadLocAnnotations, OpenImagesLocalization
from bas_mm.datasets.check import check_data, find_layout
from bas_mm.evaluation import PeakIoU, PxAP
from tests.helpers.data import write_image, write_text

CLASSES = ('0bt9lr', '01h44')


def write_mask(root, name, where, size=(20, 16)):
    """A mask that is 255 in a window ``(x0, y0, x1, y1)``."""
    mask = np.zeros(size[::-1], np.uint8)
    x0, y0, x1, y1 = where
    mask[y0:y1, x0:x1] = 255
    path = osp.join(root, name)
    os.makedirs(osp.dirname(path), exist_ok=True)
    assert cv2.imwrite(path, mask)


@pytest.fixture
def root(tmp_path):
    """Two classes; the first test image has two objects and an ignored part."""
    root = str(tmp_path / 'OpenImages')
    for split in ('train', 'test'):
        rows = []
        for label, name in enumerate(CLASSES):
            for i in range(2):
                path = f'{split}/{name}/{i}.jpg'
                write_image(root, path, size=(20, 16))
                rows.append(f'{path},{label}')
        write_text(root, f'metadata/{split}/class_labels.txt', text='\n'.join(rows))
    folder = f'test/{CLASSES[0]}'
    write_mask(root, f'{folder}/0_a.png', (0, 0, 4, 4))
    write_mask(root, f'{folder}/0_b.png', (2, 2, 8, 8))
    write_mask(root, f'{folder}/0_ignore.png', (6, 6, 12, 12))
    write_mask(root, f'{folder}/1_a.png', (5, 4, 10, 8), size=(10, 8))  # half its size
    write_mask(root, f'test/{CLASSES[1]}/0_a.png', (0, 0, 20, 8))
    lines = [
        f'{folder}/0.jpg,{folder}/0_a.png,{folder}/0_ignore.png',
        f'{folder}/0.jpg,{folder}/0_b.png,{folder}/0_ignore.png',
        f'{folder}/1.jpg,{folder}/1_a.png,',
        f'test/{CLASSES[1]}/0.jpg,test/{CLASSES[1]}/0_a.png,',
    ]
    write_text(root, 'metadata/test/localization.txt', text='\n'.join(lines) + '\n\n')
    return root


def test_training_has_labels_alone(root):
    dataset = OpenImagesLocalization(data_root=root)
    infos = [dataset.get_data_info(i) for i in range(4)]
    assert dataset.CLASSES == CLASSES
    assert [i['gt_label'] for i in infos] == [0, 0, 1, 1]
    assert all(osp.exists(i['img_path']) for i in infos)
    assert not any('seg_map_path' in i for i in infos)
    looked = OpenImagesLocalization(data_root=root, test_mode=True)  # no list there
    assert 'seg_map_path' not in looked.get_data_info(0)


def load(info):
    shape = cv2.imread(info['img_path']).shape
    return LoadLocAnnotations(fit=True)(dict(info, img=np.zeros(shape, np.uint8)))


def test_masks(root, warnings):
    dataset = OpenImagesLocalization(data_root=root, split='test', test_mode=True)
    infos = [dataset.get_data_info(i) for i in range(4)]
    assert len(infos[0]['seg_map_path']) == 2 and 'ignore_map_path' not in infos[1]
    assert any('1 of 4 images of the test split have no mask' in w for w in warnings)
    mask = load(infos[0])['gt_seg_map']
    for y in range(16):
        for x in range(20):
            object_ = (x < 4 and y < 4) or (2 <= x < 8 and 2 <= y < 8)
            ignored = 6 <= x < 12 and 6 <= y < 12
            assert mask[y, x] == (1 if object_ else 255 if ignored else 0)
    enlarged = load(infos[1])['gt_seg_map']
    assert np.argwhere(enlarged).min(0).tolist() == [8, 10]
    assert enlarged.sum() == 10 * 8
    assert 'gt_seg_map' not in load(infos[3])
    with pytest.raises(ValueError, match='has 10x8 pixels, its image 20x16'):
        LoadLocAnnotations()(dict(infos[1], img=np.zeros((16, 20, 3), np.uint8)))


def test_what_is_ignored_changes_no_figure(root):
    dataset = OpenImagesLocalization(data_root=root, split='test', test_mode=True)
    mask = load(dataset.get_data_info(0))['gt_seg_map']
    rng = np.random.default_rng(0)
    one = rng.random(mask.shape) * 0.8
    one[0, 0], one[15, 0] = 1, 0  # of both the same range
    other = np.where(mask == 255, 0.9, one)
    figures = []
    for pred in (one, other):
        row = []
        for metric in (PxAP(), PeakIoU()):
            metric.process({}, [dict(pred_map=pred, gt_seg_map=mask, sample_idx=0)])
            row.append(metric.evaluate(1))
        figures.append(row)
    assert figures[0] == figures[1]
    flipped = PxAP()
    sample = dict(pred_map=other, gt_seg_map=np.where(mask == 255, 0, mask))
    flipped.process({}, [dict(sample, sample_idx=0)])
    assert flipped.evaluate(1) != figures[0][0]


def test_lists_elsewhere(root):
    os.rename(osp.join(root, 'metadata'), osp.join(root, 'mine'))
    with pytest.raises(FileNotFoundError, match='class_labels.txt.*`ann_dir`'):
        OpenImagesLocalization(data_root=root)
    dataset = OpenImagesLocalization(data_root=root, split='test', ann_dir='mine/test')
    assert len(dataset) == 4


@pytest.mark.parametrize(
    'line, message',
    [
        ('train/01h44/0.jpg', 'line 5: expected `path,label`'),
        ('train/01h44/5.jpg,x', "must be a number from 0, got `x`"),
        ('train/01h44/5.jpg,0', 'class 0 are in the folders `0bt9lr` and `01h44`'),
        ('train/new/5.jpg,7', r'no image of class 2.*0 to 2'),
        ('train/01h44/0.jpg,1', 'lists the image `train/01h44/0.jpg` twice'),
    ],
)
def test_bad_lists(root, line, message):
    path = osp.join(root, 'metadata/train/class_labels.txt')
    with open(path, 'a') as file:
        file.write('\n' + line)
    with pytest.raises(ValueError, match=message):
        OpenImagesLocalization(data_root=root)


def test_an_image_twice_can_be_skipped(root, warnings):
    path = osp.join(root, 'metadata/train/class_labels.txt')
    with open(path, 'a') as file:
        file.write('\ntrain/01h44/0.jpg,1')
    assert len(OpenImagesLocalization(data_root=root, on_error='skip')) == 4
    assert any('listed twice' in w for w in warnings)


def test_what_is_missing(root):
    with pytest.raises(ValueError, match="one of.*'train', 'val', 'test'.*got 'all'"):
        OpenImagesLocalization(data_root=root, split='all')
    with pytest.raises(FileNotFoundError, match='metadata/val/class_labels.txt'):
        OpenImagesLocalization(data_root=root, split='val')
    os.remove(osp.join(root, 'metadata/test/localization.txt'))
    with pytest.raises(FileNotFoundError, match='localization.txt'):
        OpenImagesLocalization(data_root=root, split='test')
    os.remove(osp.join(root, 'train/0bt9lr/0.jpg'))
    with pytest.raises(FileNotFoundError, match='first image of'):
        OpenImagesLocalization(data_root=root)


def test_looking_at_the_data(root):
    assert find_layout(root) == 'openimages'
    train, test = check_data(root)
    assert (train.images, train.masks) == (4, 0)
    assert (test.images, test.masks, test.problems) == (4, 3, {})
    write_mask(root, 'test/01h44/0_a.png', (0, 0, 0, 0))
    _, test = check_data(root)
    assert [*test.problems.values()][0][0].endswith('the mask is empty')
