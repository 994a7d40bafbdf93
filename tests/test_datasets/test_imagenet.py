import os
import os.path as osp
import shutil

import cv2
import numpy as np
import pytest

from bas_mm.datasets import ImageNetLocalization, index_file
from bas_mm.datasets.annotations import read_voc_boxes
from tests.helpers.data import voc, write_image, write_text


@pytest.fixture
def root(tmp_path):
    root = str(tmp_path / 'ilsvrc')
    for wnid in ('n02', 'n01', 'n03'):
        write_image(root, 'train', wnid, f'{wnid}_1.JPEG')
    for i in range(3):
        write_image(root, 'val', f'v{i}.JPEG')
    write_text(root, 'meta', 'val.txt', text='v0.JPEG 2\nv1.JPEG 0\nv2.JPEG 1\n')
    write_text(root, 'bbox', 'val', 'v0.xml', text=voc([(7, 0, 49, 39)]))
    write_text(
        root,
        'bbox',
        'val',
        'v1.xml',
        text=voc([(1, 2, 3, 4), (5, 6, 30, 35), (9, 9, 9, 12)]),
    )
    return root


def test_val(root, warnings):
    write_text(root, 'bbox', 'val', 'other.xml', text=voc([]))
    dataset = ImageNetLocalization(data_root=root, split='val')
    assert dataset.CLASSES == ('n01', 'n02', 'n03')
    infos = [dataset.get_data_info(i) for i in range(3)]
    assert [i['gt_label'] for i in infos] == [2, 0, 1]
    assert infos[0]['gt_bboxes'].dtype == np.float32
    assert infos[0]['gt_bboxes'].tolist() == [[7, 0, 49, 39]]  # as they are
    assert infos[1]['gt_bboxes'].tolist() == [
        [1, 2, 3, 4],
        [5, 6, 30, 35],
        [9, 9, 9, 12],
    ]
    assert 'gt_bboxes' not in infos[2]
    assert any(
        '1 of 3 images have no XML' in w and '1 XML files there have no image' in w
        for w in warnings
    )


def test_train(root):
    write_text(root, 'bbox', 'train', 'n01', 'n01_1.xml', text='broken')
    dataset = ImageNetLocalization(data_root=root)
    infos = [dataset.get_data_info(i) for i in range(3)]
    assert [(osp.basename(i['img_path']), i['gt_label']) for i in infos] == [
        ('n01_1.JPEG', 0),
        ('n02_1.JPEG', 1),
        ('n03_1.JPEG', 2),
    ]
    assert not any('gt_bboxes' in i for i in infos)
    with pytest.raises(ValueError, match=r'n01_1\.xml: expected a Pascal-VOC'):
        ImageNetLocalization(data_root=root, ann_xml='bbox/train')
    write_text(root, 'bbox', 'train', 'n01', 'n01_1.xml', text=voc([(1, 2, 3, 4)]))
    dataset = ImageNetLocalization(data_root=root, ann_xml='bbox/train')
    assert dataset.get_data_info(0)['gt_bboxes'].tolist() == [[1, 2, 3, 4]]
    write_text(root, 'meta', 'train.txt', text='n03/n03_1.JPEG 0\n')
    dataset = ImageNetLocalization(data_root=root)
    assert len(dataset) == 1 and dataset.get_data_info(0)['gt_label'] == 0


def test_classes_txt_sets_names_and_order(root):
    write_text(root, 'classes.txt', text='n03 red cat, cat\nn01 dog\nn02 cow\n')
    dataset = ImageNetLocalization(data_root=root)
    assert dataset.CLASSES == ('red cat, cat', 'dog', 'cow')
    labels = {
        osp.basename(dataset.get_data_info(i)['img_path'])[:3]: dataset.get_data_info(
            i
        )['gt_label']
        for i in range(3)
    }
    assert labels == dict(n03=0, n01=1, n02=2)
    write_text(root, 'classes.txt', text='n03 cat\nn01 dog\n')
    with pytest.raises(ValueError, match=r"but 2 .*only in one of them: \['n02'\]"):
        ImageNetLocalization(data_root=root)
    write_text(root, 'classes.txt', text='n03 cat\nn03 dog\n')
    with pytest.raises(ValueError, match='occurs twice'):
        ImageNetLocalization(data_root=root)


def test_class_count_without_or_with_full_train(root):
    shutil.rmtree(osp.join(root, 'train'))
    dataset = ImageNetLocalization(data_root=root, split='val')
    assert len(dataset.CLASSES) == 1000
    for i in range(1000):
        os.makedirs(osp.join(root, 'train', f'n{i:04d}'))
    dataset = ImageNetLocalization(data_root=root, split='val')
    assert dataset.CLASSES[0] != 'n0000' and len(dataset.CLASSES) == 1000


@pytest.mark.parametrize('folder', ['Annotations/CLS-LOC/val', 'Annotations/val'])
def test_other_places_of_xml(root, folder):
    os.makedirs(osp.dirname(osp.join(root, folder)))
    shutil.move(osp.join(root, 'bbox', 'val'), osp.join(root, folder))
    dataset = ImageNetLocalization(data_root=root, split='val')
    assert 'gt_bboxes' in dataset.get_data_info(0)
    shutil.move(osp.join(root, folder), osp.join(root, 'mine'))
    dataset = ImageNetLocalization(data_root=root, split='val', ann_xml='mine')
    assert 'gt_bboxes' in dataset.get_data_info(0)
    dataset = ImageNetLocalization(data_root=root, split='val', ann_xml='')
    assert 'gt_bboxes' not in dataset.get_data_info(0)
    with pytest.raises(FileNotFoundError, match='set `ann_xml`'):
        ImageNetLocalization(data_root=root, split='val', ann_xml='no')


def test_no_boxes_warns(root, warnings):
    shutil.rmtree(osp.join(root, 'bbox'))
    dataset = ImageNetLocalization(data_root=root, split='val')
    assert len(dataset) == 3
    assert any('Set `ann_xml`' in w for w in warnings)


def test_val_in_class_folders(root):
    os.remove(osp.join(root, 'meta', 'val.txt'))
    with pytest.raises(FileNotFoundError, match=r'no `meta/val\.txt`'):
        ImageNetLocalization(data_root=root, split='val')
    for i, wnid in enumerate(('n03', 'n01', 'n02')):
        os.makedirs(osp.join(root, 'val', wnid))
        shutil.move(osp.join(root, 'val', f'v{i}.JPEG'), osp.join(root, 'val', wnid))
    dataset = ImageNetLocalization(data_root=root, split='val')
    infos = {
        osp.basename(i['img_path']): i
        for i in (dataset.get_data_info(k) for k in range(3))
    }
    assert infos['v0.JPEG']['gt_label'] == 2
    assert infos['v0.JPEG']['gt_bboxes'].tolist() == [[7, 0, 49, 39]]


@pytest.mark.parametrize(
    'text, match',
    [
        ('v0.JPEG 3\n', r'val\.txt, line 1: .* from 0 to 2, got `v0.JPEG 3`'),
        ('v0.JPEG 0\nv1.JPEG\n', 'line 2: expected `path index`'),
        ('v0.JPEG x\n', 'line 1'),
    ],
)
def test_bad_list(root, text, match):
    write_text(root, 'meta', 'val.txt', text=text)
    with pytest.raises(ValueError, match=match):
        ImageNetLocalization(data_root=root, split='val')


def test_other_errors(root):
    write_text(root, 'meta', 'val.txt', text='w.JPEG 0\n')
    with pytest.raises(FileNotFoundError, match='first image of'):
        ImageNetLocalization(data_root=root, split='val')
    write_text(root, 'meta', 'val.txt', text='\n')
    with pytest.raises(FileNotFoundError, match='No images'):
        ImageNetLocalization(data_root=root, split='val')
    with pytest.raises(FileNotFoundError, match='--data-root'):
        ImageNetLocalization(data_root=root + '_no')
    with pytest.raises(ValueError, match="'train' or 'val'"):
        ImageNetLocalization(data_root=root, split='test')
    write_text(root, 'meta', 'val.txt', text='v0.JPEG 0\n')
    write_text(root, 'bbox', 'val', 'v0.xml', text=voc([(9, 2, 3, 4)]))
    with pytest.raises(ValueError, match=r'v0\.xml: the box .* swapped corners'):
        ImageNetLocalization(data_root=root, split='val')


def test_mini(mini, build):
    root = mini('ILSVRC2012_mini')
    train = build('ilsvrc', 'train', root)
    test = build('ilsvrc', 'test', root)
    assert (len(train), len(test)) == (4000, 1000)
    assert train.CLASSES == test.CLASSES and len(test.CLASSES) == 20
    assert set(train[0]['data_samples'].keys()) == {'gt_label'}
    for info in test.load_data_list()[:100]:
        path = osp.join(
            root, 'bbox', 'val', osp.basename(info['img_path'])[:-5] + '.xml'
        )
        h, w = cv2.imread(info['img_path']).shape[:2]
        assert read_voc_boxes(path)[1] == (w, h) == (64, 64)
        assert info['gt_bboxes'].min() >= 0 and info['gt_bboxes'].max() <= 64


def infos_of(dataset):
    return [dataset.get_data_info(i) for i in range(len(dataset))]


@pytest.fixture
def cached(root, tmp_path, monkeypatch):
    """The data, long unchanged, and a folder for its index."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(index_file, 'WORTH', 1)
    write_text(root, 'bbox', 'val', 'v2.xml', text=voc([(1, 1, 5, 5)]))
    settle(root)
    return root


def settle(root, years=0):
    """Let all that is in a folder be old."""
    for folder, _, files in os.walk(root):
        for name in ['', *files]:
            path = osp.join(folder, name)
            if os.stat(path).st_mtime > 1.7e9:
                os.utime(path, (1.6e9 + years, 1.6e9 + years))


@pytest.mark.parametrize('split', ['train', 'val'])
def test_index_is_what_was_found(cached, split, monkeypatch):
    plain = infos_of(ImageNetLocalization(cached, split, cache_index=False))
    assert not index_file.index_folder().exists()
    assert str(infos_of(ImageNetLocalization(cached, split))) == str(plain)
    monkeypatch.setattr(ImageNetLocalization, '_list', None)  # nothing is listed
    dataset = ImageNetLocalization(cached, split)
    assert str(infos_of(dataset)) == str(plain)
    part = ImageNetLocalization(cached, split, indices=[2, 0])
    assert [i['img_path'] for i in infos_of(part)] == [
        plain[2]['img_path'],
        plain[0]['img_path'],
    ]
    whole = ImageNetLocalization(cached, split, serialize_data=False)
    assert str(infos_of(whole)) == str(plain)


def test_index_follows_the_data(cached):
    def paths(split):
        infos = infos_of(ImageNetLocalization(cached, split))
        return [osp.basename(i['img_path']) for i in infos]

    assert paths('train')[0] == 'n01_1.JPEG'
    write_image(cached, 'train', 'n01', 'deep', 'n01_0.JPEG')
    settle(cached, 1)
    assert paths('train')[:2] == ['n01_0.JPEG', 'n01_1.JPEG']
    os.remove(osp.join(cached, 'train', 'n01', 'deep', 'n01_0.JPEG'))
    settle(cached, 2)
    assert paths('train')[:2] == ['n01_1.JPEG', 'n02_1.JPEG']

    def boxes():
        dataset = ImageNetLocalization(cached, 'val')
        return dataset.get_data_info(0)['gt_bboxes'].tolist()

    assert boxes() == [[7, 0, 49, 39]]
    write_text(cached, 'bbox', 'val', 'v0.xml', text=voc([(1, 2, 3, 4)]))
    settle(cached, 3)
    assert boxes() == [[1, 2, 3, 4]]


def test_index_says_each_time_what_there_is_to_say(cached, warnings):
    os.remove(osp.join(cached, 'bbox', 'val', 'v2.xml'))
    settle(cached)
    for _ in range(2):
        ImageNetLocalization(cached, 'val')
    assert len([w for w in warnings if '1 of 3 images have no XML' in w]) == 2


def test_sizes_of_images_are_in_no_index(cached):
    box = '<object><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax>'
    text = f'<annotation>{box}</bndbox></object></annotation>'  # no size
    write_text(cached, 'bbox', 'val', 'v2.xml', text=text)
    settle(cached)
    dataset = ImageNetLocalization(cached, 'val')
    assert dataset.get_data_info(2)['gt_bboxes'].tolist() == [[1, 1, 5, 5]]
    assert not index_file.index_folder().exists()


def test_list_with_equal_hashes(root, monkeypatch):
    monkeypatch.setattr('builtins.hash', lambda name: 1)
    dataset = ImageNetLocalization(data_root=root, split='val')
    assert [i['gt_label'] for i in infos_of(dataset)] == [2, 0, 1]
