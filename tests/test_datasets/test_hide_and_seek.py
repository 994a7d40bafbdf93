import math

import numpy as np
import pytest
from mmengine.dataset import DefaultSampler
from torch.utils.data import DataLoader, Dataset

import bas_mm
from bas_mm.datasets import HideAndSeek


def image(h=9, w=13, channels=3):
    shape = (h, w, channels) if channels else (h, w)
    return np.random.default_rng(0).integers(0, 100, shape).astype(np.uint8)


FILL = (200, 210, 220)


def hidden(result):
    """Which pixels have the fill; no pixel of ``image`` has."""
    return (result == FILL).all(2)


@pytest.mark.parametrize('kwargs', [dict(grid_size=0), dict(drop_rate=0.0)])
def test_nothing_to_hide(kwargs):
    img = image()
    result = HideAndSeek(fill=FILL, **kwargs)(dict(img=img, gt_label=1))
    assert np.array_equal(result['img'], img) and result['gt_label'] == 1


def test_all_is_hidden():
    result = HideAndSeek(4, 1.0, FILL)(dict(img=image()))['img']
    assert hidden(result).all() and result.dtype == np.uint8
    gray = HideAndSeek(4, 1.0, 7)(dict(img=image(channels=0)))['img']
    assert gray.shape == (9, 13) and (gray == 7).all()


@pytest.mark.parametrize('h, w', [(9, 13), (13, 9), (8, 8)])
def test_whole_cells_are_hidden_one_by_one(h, w):
    """The draws of NumPy, rows outside, columns inside."""
    img = image(h, w)
    before = img.copy()
    seen = np.zeros((h, w), bool)
    for seed in range(20):
        np.random.seed(seed)
        mask = hidden(HideAndSeek(4, 0.5, FILL)(dict(img=img))['img'])
        np.random.seed(seed)
        for y in range(0, h, 4):
            for x in range(0, w, 4):
                cell = mask[y : y + 4, x : x + 4]
                assert cell.all() == cell.any() == (np.random.random_sample() < 0.5)
        seen |= mask
    assert seen.all() and np.array_equal(img, before)


def test_share_of_hidden_cells():
    np.random.seed(0)
    n = 100 * 100
    mask = hidden(HideAndSeek(1, 0.3, FILL)(dict(img=image(100, 100)))['img'])
    assert abs(mask.mean() - 0.3) < 3 * math.sqrt(0.3 * 0.7 / n)


def test_one_size_is_drawn_for_each_image():
    np.random.seed(0)
    hide = HideAndSeek([0, 2, 64], 1.0, FILL)
    sides = [hide._draw(64, 64)[0] for _ in range(300)]
    assert all(60 < sides.count(side) < 140 for side in (0, 2, 64))


def test_the_default_fill_is_the_mean_of_imagenet():
    img = HideAndSeek(drop_rate=1.0)(dict(img=image()))['img']
    mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    left = (img[0, 0, ::-1] - mean) / std
    assert abs(left).max() < 0.01


class Views(Dataset):
    hide = HideAndSeek(4, 0.5, FILL)

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return self.hide(dict(img=image(40, 40)))['img']


def test_workers_and_epochs_differ():
    from mmengine.dataset import worker_init_fn

    loader = DataLoader(
        Views(),
        batch_size=1,
        num_workers=2,
        sampler=DefaultSampler(Views(), shuffle=False, seed=0),
        worker_init_fn=lambda i: worker_init_fn(i, 2, 0, 0),
        persistent_workers=True,
    )
    views = [view.numpy().tobytes() for _ in range(2) for view in loader]
    assert len(set(views)) == len(views)


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(grid_size=-1), r'`grid_size`.*0 or more.*got -1'),
        (dict(grid_size=[]), r'`grid_size`.*got \[\]'),
        (dict(grid_size=[8, 2.5]), r'`grid_size`.*whole pixels.*2.5'),
        (dict(drop_rate=1.2), r'`drop_rate`.*between 0 and 1, got 1.2'),
        (dict(fill=300), '`fill`.*between 0 and 255, got 300'),
        (dict(fill=(1, -2, 3)), '`fill`.*between 0 and 255'),
    ],
)
def test_bad_options(kwargs, message):
    with pytest.raises(ValueError, match=message):
        HideAndSeek(**kwargs)


def test_a_fill_is_rounded():
    hide = HideAndSeek(drop_rate=1, fill=(103.53, 116.28, 123.675))
    assert hide(dict(img=image()))['img'][0, 0].tolist() == [104, 116, 124]


def test_a_fill_of_other_channels():
    with pytest.raises(ValueError, match='`fill`.*2 numbers.*3 channels'):
        HideAndSeek(fill=(1, 2))(dict(img=image()))


def test_its_name_and_text():
    assert bas_mm.HideAndSeek is HideAndSeek
    assert 'grid_size=[56], drop_rate=0.5' in repr(HideAndSeek())
