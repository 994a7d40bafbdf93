import json
import multiprocessing
import os
import os.path as osp

import cv2
import numpy as np
import pytest

from bas_mm.datasets import ToyLocalization
from bas_mm.datasets.toy import SPEC_FILE, TOY_VERSION

SMALL = dict(num_classes=3, train_per_class=2, test_per_class=1)


def read_all(root):
    return {
        osp.relpath(osp.join(folder, name), root): open(
            osp.join(folder, name), 'rb'
        ).read()
        for folder, _, files in os.walk(root)
        for name in files
    }


def test_folder(tmp_path):
    root = str(tmp_path / 'deep' / 'toy')
    train = ToyLocalization(root, **SMALL)
    test = ToyLocalization(root, split='test', test_mode=True, **SMALL)
    assert (len(train), len(test)) == (6, 3)
    assert len(train.CLASSES) == 3
    assert len(open(osp.join(root, 'classes.txt')).readlines()) == 3
    assert os.listdir(osp.dirname(root)) == ['toy']
    for dataset in (train, test):
        for i in range(len(dataset)):
            info = dataset.get_data_info(i)
            mask = cv2.imread(info['seg_map_path'], cv2.IMREAD_UNCHANGED)
            assert set(np.unique(mask)) == {0, 255}
            ys, xs = np.nonzero(mask)
            assert info['gt_bboxes'].tolist() == [
                [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
            ]
            assert cv2.imread(info['img_path']).shape[:2] == mask.shape

    again = str(tmp_path / 'again')
    ToyLocalization(again, **SMALL)
    assert read_all(root) == read_all(again)
    more = str(tmp_path / 'more')  # counts do not change an image
    ToyLocalization(more, num_classes=3, train_per_class=3, test_per_class=1)
    a, b = (
        cv2.imread(osp.join(r, 'images', '002.stripes_2', 'train_0001.jpg'))
        for r in (root, more)
    )
    np.testing.assert_array_equal(a, b)
    seed = str(tmp_path / 'seed')
    ToyLocalization(seed, seed=1, **SMALL)
    c = cv2.imread(osp.join(seed, 'images', '002.stripes_2', 'train_0001.jpg'))
    assert (a != c).any()


def test_existing_folders(tmp_path):
    assert TOY_VERSION == 1  # folders of this version stay valid
    root = str(tmp_path / 'toy')
    os.mkdir(root)  # empty: used
    ToyLocalization(root, **SMALL)
    before = read_all(root)
    with pytest.raises(
        ValueError, match=rf'seed is 0 there and 3 here.*Delete the folder `{root}`'
    ):
        ToyLocalization(root, seed=3, **SMALL)
    spec = json.load(open(osp.join(root, SPEC_FILE)))
    json.dump(dict(spec, version=-1), open(osp.join(root, SPEC_FILE), 'w'))
    with pytest.raises(ValueError, match='version is -1 there and 1 here'):
        ToyLocalization(root, **SMALL)
    json.dump(spec, open(osp.join(root, SPEC_FILE), 'w'), indent=1)
    assert read_all(root) == before

    mine = str(tmp_path / 'mine')
    os.mkdir(mine)
    open(osp.join(mine, 'thesis.txt'), 'w').close()
    with pytest.raises(FileExistsError, match='left as it is: .*--data-root'):
        ToyLocalization(mine, **SMALL)
    assert os.listdir(mine) == ['thesis.txt']


def test_a_folder_is_known_by_its_options(tmp_path):
    root = str(tmp_path / 'toy')
    ToyLocalization(root, **SMALL)
    spec = json.load(open(osp.join(root, SPEC_FILE)))
    assert spec == dict(
        version=1,
        seed=0,
        num_classes=3,
        train_per_class=2,
        test_per_class=1,
        image_size=256,
        part_contrast=1.0,
        body_texture=0.045,
        body_tint=0.1,
    )


@pytest.mark.parametrize(
    'option',
    [
        dict(num_classes=0),
        dict(image_size=32),
        dict(seed=-1),
        dict(train_per_class=1.5),
        dict(body_tint=1.5),
        dict(part_contrast=-1),
    ],
)
def test_bad_options(tmp_path, option):
    with pytest.raises(ValueError, match=f'`{next(iter(option))}` of Toy'):
        ToyLocalization(str(tmp_path / 'toy'), **option)
    assert not os.listdir(tmp_path)


def _start(root):
    return len(ToyLocalization(root, **SMALL))


def test_several_processes_at_once(tmp_path):
    root = str(tmp_path / 'toy')
    with multiprocessing.get_context('fork').Pool(3) as pool:
        assert pool.map(_start, [root] * 3, chunksize=1) == [6] * 3
    assert os.listdir(tmp_path) == ['toy']


def test_interrupted_drawing_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, 'imwrite', lambda *args: False)
    with pytest.raises(OSError, match='cannot be written'):
        ToyLocalization(str(tmp_path / 'toy'), **SMALL)
    assert not os.listdir(tmp_path)


def test_default_set_from_the_config(build, toy_set):
    train = build('toy', 'train', str(toy_set))
    assert (len(train), len(train.CLASSES)) == (300, 6)
    assert set(train[0]['data_samples'].keys()) == {'gt_label'}
    test = build('toy', 'test', str(toy_set))
    item = test[5]
    assert len(test) == 120
    assert item['inputs'].shape == (3, 224, 224) and 'crops' not in item
    mask = item['data_samples'].gt_seg_map.numpy()
    x, y, w, h = cv2.boundingRect(mask)
    assert item['data_samples'].gt_bboxes.tolist() == [[x, y, x + w, y + h]]
