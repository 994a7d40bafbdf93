import csv
import json

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmpretrain.structures import DataSample

from .tiny_wsol import build, call, load_tool, save, write_config

tool = load_tool('analysis_tools/activation_study.py')


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp('study')
    config = write_config(folder)
    return config, save(config, folder / 'bas.pth')


def test_sweep_masks():
    mask = np.zeros((40, 60), np.uint8)
    mask[10:26, 20:44] = 1
    masks = tool.sweep_masks(mask, kernel=3, steps=4)
    area = masks.sum((1, 2))
    assert (np.diff(masks.astype(int), axis=0) >= 0).all()
    # a rectangle loses, or gains, k - 1 pixels a side for a kernel of k
    expected = [(16 + d) * (24 + d) for d in (-11, -8, -5, -2, 0, 2, 5, 8, 11)]
    assert area.tolist() == [0, *expected, 40 * 60]
    assert (masks[5] == mask).all()


def test_sweep_of_a_dot_and_of_everything():
    dot = np.zeros((9, 9), np.uint8)
    dot[4, 4] = 1
    assert tool.sweep_masks(dot, 5, 3).sum((1, 2)).tolist() == [0, 1, 25, 81]
    # the border of the view does not erode
    assert tool.sweep_masks(np.ones((9, 9), np.uint8), 5, 3).sum() == 81


def test_ground_truth():
    sample = DataSample()
    assert tool.ground_truth(sample, (8, 10)) is None
    sample.gt_bboxes = torch.tensor([[1.0, 2, 4, 6], [-3, 0, 2, 1], [5, 5, 5, 9]])
    mask = tool.ground_truth(sample, (8, 10))
    assert mask.sum() == 3 * 4 + 2 and mask[2:6, 1:4].all()
    sample.gt_seg_map = torch.zeros(8, 10, dtype=torch.uint8)
    assert tool.ground_truth(sample, (8, 10)) is None  # the mask wins
    sample.gt_seg_map[1, 1], sample.gt_seg_map[0] = 1, 255
    assert tool.ground_truth(sample, (8, 10)).sum() == 1


def test_measure_equals_one_mask_at_a_time(tiny):
    _, model = build(tiny[0])
    image = torch.randn(1, 3, 64, 64)
    mask = np.zeros((64, 64), np.uint8)
    mask[16:40, 8:48] = 1
    masks = tool.sweep_masks(mask, 5, 3)
    with torch.no_grad():
        feat = model.neck.f1(image)
        got = tool.measure(model, feat[0], torch.from_numpy(masks), torch.tensor(2))
        for i, m in enumerate(masks):
            small = cv2.resize(
                m.astype(np.float32), feat.shape[:1:-1], interpolation=cv2.INTER_AREA
            )
            small = torch.from_numpy(small)
            fg = model.head((model.neck.f2(feat * small),))
            bg = model.head((model.neck.f2(feat * (1 - small)),))
            expected = fg[0, 2], bg[0, 2], F.cross_entropy(fg, torch.tensor([2]))
            for key, value in zip(('fg', 'bg', 'ce'), expected):
                np.testing.assert_allclose(got[key][i], value, rtol=1e-4, atol=1e-5)
    assert got['fg'][0] == pytest.approx(got['bg'][-1], abs=1e-5)


def test_average():
    records = [
        dict(
            area=np.array([0, 1, 4.0]),
            fg=np.array([0, 2, 2.0]),
            bg=np.array([3, 1, 1.0]),
            ce=np.array([1, 1, 1.0]),
        ),
        dict(
            area=np.array([0, 1, 2.0]),
            fg=np.array([0, 4, 6.0]),
            bg=np.array([5, 1, 0.0]),
            ce=np.array([3, 2, 1.0]),
        ),
    ]
    mean = tool.average(records, 5, 11)
    assert mean['area'][3] == 1.5
    assert mean['images'].tolist() == [2] * 5 + [1] * 4 + [0, 0]
    assert mean['fg'][[0, 1, 2, 3, 4, 5]].tolist() == [0, 1.5, 3, 3.5, 4, 2]
    assert np.isnan(mean['fg'][-2:]).all() and mean['bg'][2] == 1
    assert mean['fg_low'][2] == 2.5 and mean['fg_high'][2] == 3.5
    # 90 % of the way 0 -> 3; of 4 -> 1; the mean of CE goes 2 -> 1.5
    assert tool.area_of_most(mean['area'], mean['fg']) == 1
    assert tool.area_of_most(
        np.linspace(0, 2, 21), np.minimum(np.linspace(0, 4, 21), 2)
    ) == pytest.approx(0.9)
    assert np.isnan(tool.area_of_most(mean['area'], np.ones(11)))


def test_command(tiny, tmp_path, capsys):
    call(tool, *tiny, '--images', 5, '--out-dir', tmp_path, '--steps', 3, '--plots', 2)
    assert '5 pictures, 0 left out' in capsys.readouterr().out
    with open(tmp_path / 'curves.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    images = {row['image'] for row in rows}
    assert len(images) == 5
    for image in images:
        area = [float(r['area']) for r in rows if r['image'] == image]
        assert area[0] == 0 and 1.0 in area and area == sorted(area)
    study = json.loads((tmp_path / 'study.json').read_text())
    assert study['images'] == 5 and study['left_out'] == []
    # at area 0 the mean is that of the empty masks
    first = [float(r['fg']) for r in rows if float(r['area']) == 0]
    assert study['mean']['fg'][0] == pytest.approx(np.mean(first))
    for name in ('mean.png', 'images.png'):
        assert cv2.imread(str(tmp_path / name)).std() > 5


def test_no_ground_truth(tiny, tmp_path):
    with pytest.raises(ValueError, match='No picture has a mask or a box'):
        call(
            tool,
            *tiny,
            '--out-dir',
            tmp_path,
            '--cfg-options',
            'test_dataloader.dataset.pipeline.1.threshold=300',
            'test_dataloader.dataset.pipeline.4.algorithm_keys=()',
        )


def test_checkpoint_of_another_model(tiny, tmp_path):
    with pytest.raises(ValueError, match='model.head.num_classes=N'):
        call(
            tool,
            *tiny,
            '--out-dir',
            tmp_path,
            '--cfg-options',
            'model.head.num_classes=4',
        )


@pytest.mark.parametrize(
    'option, value, message',
    [
        ('--images', 0, '--images must be at least 1'),
        ('--kernel', -5, '--kernel must be at least 1'),
        ('--max-area', 1, '--max-area must be above 1'),
    ],
)
def test_wrong_options(tiny, capsys, option, value, message):
    with pytest.raises(SystemExit):
        call(tool, *tiny, f'{option}={value}')
    assert message in capsys.readouterr().err
