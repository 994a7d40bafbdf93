import json
import multiprocessing
import os
import os.path as osp

import cv2
import numpy as np
import pytest

from bas_mm.datasets import ToyLocalization
from bas_mm.datasets.toy import SPEC_FILE, draw_toy_picture

SMALL = dict(num_classes=3, train_per_class=2, test_per_class=1)


def draw(index, label=None, **kwargs):
    rng = np.random.default_rng([7, index])
    return draw_toy_picture(rng, index % 6 if label is None else label, **kwargs)


@pytest.fixture(scope='module')
def pictures():
    return [draw(i) for i in range(120)]


def test_part_is_small_and_at_one_end(pictures):
    for picture in pictures:
        assert picture.image.shape == (256, 256, 3)
        assert (picture.mask & picture.part).sum() == picture.part.sum() > 50
        assert 6 * picture.part.sum() <= picture.mask.sum()
        # one object, and its head is off its middle
        count, _ = cv2.connectedComponents(picture.mask.astype(np.uint8))
        assert count == 2
        x, y, w, h = cv2.boundingRect(picture.mask.astype(np.uint8))
        assert 64 <= w <= 192 and 64 <= h <= 192
        head = np.argwhere(picture.part).mean(0)
        away = np.hypot(*(head - np.argwhere(picture.mask).mean(0)))
        assert away > 0.25 * max(w, h)


def test_part_box_misses_the_object(pictures):
    """Who finds only the part must fail at IoU 0.5."""
    for picture in pictures:
        part, whole = (
            cv2.boundingRect(m.astype(np.uint8)) for m in (picture.part, picture.mask)
        )
        assert part[2] * part[3] < 0.4 * whole[2] * whole[3]


def test_boxes_that_look_at_nothing_are_poor(pictures):
    hits = dict(whole=0, center=0)
    for picture in pictures:
        x, y, w, h = cv2.boundingRect(picture.mask.astype(np.uint8))
        a = np.clip([x - 16, y - 16, x + w - 16, y + h - 16], 0, 224)
        side = 0.15 * 224
        for name, b in (
            ('whole', (0, 0, 224, 224)),
            ('center', (side, side, 224 - side, 224 - side)),
        ):
            inter = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(
                0, min(a[3], b[3]) - max(a[1], b[1])
            )
            union = (
                (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
            )
            hits[name] += inter > 0.5 * union
    assert hits['whole'] / len(pictures) < 0.2
    assert hits['center'] / len(pictures) < 0.35


def test_background_does_not_depend_on_the_class():
    for index in range(4):
        a, b = draw(index, 0), draw(index, 4)
        np.testing.assert_array_equal(a.mask, b.mask)
        outside = cv2.dilate(a.mask.astype(np.uint8), np.ones((5, 5))) == 0
        np.testing.assert_array_equal(a.image[outside], b.image[outside])
        assert (a.image[a.part] != b.image[b.part]).any()


def test_body_signal_is_weak_and_the_part_strong():
    """The class changes the part's pixels much, the body's a little."""
    part, body = [], []
    for index in range(20):
        a, b = (draw(index, k).image.astype(int) for k in (0, 1))
        picture = draw(index, 0)
        change = np.abs(a - b).mean(-1)
        inner = cv2.erode(picture.mask.astype(np.uint8), np.ones((5, 5))) > 0
        part.append(change[picture.part & inner].mean())
        body.append(
            change[
                inner
                & ~cv2.dilate(picture.part.astype(np.uint8), np.ones((5, 5))).astype(
                    bool
                )
            ].mean()
        )
    assert np.mean(part) > 4 * np.mean(body) > 0
    off = [draw(0, k, body_texture=0.0, body_tint=0.0) for k in (0, 1)]
    body = off[0].mask & ~cv2.dilate(
        off[0].part.astype(np.uint8), np.ones((5, 5))
    ).astype(bool)
    np.testing.assert_array_equal(off[0].image[body], off[1].image[body])


def test_determinism_and_size():
    a, b, other = draw(3), draw(3), draw(4)
    for x, y in zip(a, b):
        np.testing.assert_array_equal(x, y)
    assert (a.image != other.image).any()
    assert draw(0, image_size=96).image.shape == (96, 96, 3)


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
    more = str(tmp_path / 'more')  # counts do not change a picture
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
    with pytest.raises(ValueError, match='version is -1 there'):
        ToyLocalization(root, **SMALL)
    json.dump(spec, open(osp.join(root, SPEC_FILE), 'w'), indent=1)
    assert read_all(root) == before

    mine = str(tmp_path / 'mine')
    os.mkdir(mine)
    open(osp.join(mine, 'thesis.txt'), 'w').close()
    with pytest.raises(FileExistsError, match='left as it is: .*--data-root'):
        ToyLocalization(mine, **SMALL)
    assert os.listdir(mine) == ['thesis.txt']


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


def test_default_set_from_the_config(build, tmp_path):
    train = build('toy', 'train', str(tmp_path / 'toy'))
    assert (len(train), len(train.CLASSES)) == (300, 6)
    assert set(train[0]['data_samples'].keys()) == {'gt_label'}
    test = build('toy', 'test', str(tmp_path / 'toy'))
    item = test[5]
    assert len(test) == 120
    assert item['inputs'].shape == (3, 224, 224) and 'crops' not in item
    mask = item['data_samples'].gt_seg_map.numpy()
    x, y, w, h = cv2.boundingRect(mask)
    assert item['data_samples'].gt_bboxes.tolist() == [[x, y, x + w, y + h]]
