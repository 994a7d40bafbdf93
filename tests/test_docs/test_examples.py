"""The scripts of docs/examples."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS

from bas_mm.datasets import ToyLocalization
from bas_mm.utils.configs import load_config_file
from tests.helpers.commands import run

EXAMPLES = Path(__file__).parents[2] / 'docs' / 'examples'
SCRIPT = EXAMPLES / 'train_detector.py'
BOX = [10.0, 10.0, 30.0, 30.0]
HALF = [10.0, 10.0, 30.0, 20.0]  # IoU 0.5 with BOX
OFF = [40.0, 40.0, 50.0, 50.0]


def load_script(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def script():
    pytest.importorskip('pycocotools')
    return load_script('train_detector')


@pytest.fixture(scope='module')
def several():
    return load_script('several_objects')


def found(*rows):
    """Detections of an image, ``(box, label, score)`` each."""
    boxes, labels, scores = zip(*rows) if rows else ((), (), ())
    return np.reshape(boxes, (-1, 4)), np.array(labels, int), np.array(scores)


def test_shares_of_right_best_boxes(script):
    images = [dict(label=i % 2, boxes=np.array([BOX])) for i in range(5)]
    rows = [
        found((BOX, 0, 0.3), (OFF, 1, 0.9)),  # right of its class, not the best
        found((HALF, 1, 0.9), (OFF, 1, 0.2)),
        found((OFF, 0, 0.9), (BOX, 0, 0.8)),
        found((BOX, 0, 0.9)),  # the class is wrong
        found(),
    ]
    assert script.top_share(rows, images, True) == pytest.approx(40)
    assert script.top_share(rows, images, False) == pytest.approx(20)


def test_ap50_is_that_of_the_sorted_detections(script):
    images = [dict(label=0, boxes=np.array([BOX])) for _ in range(2)]
    rows = [found((BOX, 0, 0.9)), found((OFF, 0, 0.8), (HALF, 0, 0.7))]
    # right, wrong, right: precision 1 up to recall 0.5, 2/3 beyond; 101 points
    expected = 100 * (51 + 50 * 2 / 3) / 101
    assert script.coco_ap50(rows, images) == pytest.approx(expected)


@pytest.mark.slow
def test_a_detector_is_trained_and_measured(tmp_path, script):
    """On four drawn images and four others, from a localizer that was never trained."""
    root = str(tmp_path / 'toy')
    ToyLocalization(root, num_classes=2, train_per_class=2, test_per_class=2)
    cfg = load_config_file('cam_efficientnet-lite0_cub')
    cfg.model.backbone.init_cfg = None
    cfg.model.head.num_classes = 2
    model = MODELS.build(cfg.model)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'cam.pth')
    head = script.build_detector(model.eval(), 2).head
    distances = head([torch.rand(1, 128, 7, 7)])['bbox_regression']
    assert (distances > 0).all()  # at 0 the ReLU would stop learning
    words = ['cam_efficientnet-lite0_cub', 'cam.pth', '--data-root', 'toy']
    options = ['--cfg-options', 'model.head.num_classes=2', '--epochs', 1]
    files = ['--out', 'figures.json', '--save', 'detector.pth']
    done = run(
        tmp_path, sys.executable, SCRIPT, *words, '--boxes', 'true', *options, *files
    )
    assert '4 test images have true boxes' in done.stdout
    figures = json.loads((tmp_path / 'figures.json').read_text())
    assert list(figures) == ['center', 'localizer', 'FCOS on true']
    assert all(0 <= x <= 100 for row in figures.values() for x in row)
    weights = torch.load(tmp_path / 'detector.pth')
    learned = {key.split('.')[0] for key in weights}
    assert learned == {'backbone', 'head'}
    trunk = model.backbone.state_dict()
    for key, value in trunk.items():  # kept as it was
        assert torch.equal(weights[f'backbone.backbone.{key}'], value), key


def test_boxes_and_objects_pair_once(several):
    boxes = np.array([BOX, BOX, HALF, OFF])
    assert several.match(boxes, np.array([BOX, OFF])) == 2
    assert several.match(boxes, np.array([BOX, BOX, BOX])) == 2  # HALF: 0.5, not above
    assert several.match(boxes[:1], np.array([OFF])) == 0
    assert several.match(np.zeros((0, 4)), boxes) == 0


def test_touching_boxes_are_one_part(several):
    touching = [[0, 0, 4, 4], [4, 0, 8, 4], [9, 0, 10, 2]]
    parts = several.joined(np.array(touching), (4, 10)).tolist()
    assert parts == [[0, 0, 8, 4], [9, 0, 10, 2]]


def test_pairs_stand_side_by_side(several):
    low, high = np.full((10, 20, 3), 1, np.uint8), np.full((20, 30, 3), 2, np.uint8)
    box = np.array([[1.0, 2, 5, 10]])
    images = [(low, 0, box), (high, 0, box), (low, 1, box), (low, 2, box)]
    ((picture, label, boxes),) = several.side_by_side(images)  # 1 and 2 stand alone
    assert picture.shape == (20, 70, 3) and label == 0
    assert picture[:, :40].max() == 1 and picture[:, 40:].min() == 2
    assert boxes.tolist() == [[2, 4, 10, 20], [41, 2, 45, 10]]


@pytest.mark.slow
def test_several_objects_are_counted(tmp_path):
    root = str(tmp_path / 'toy')
    ToyLocalization(root, num_classes=2, train_per_class=2, test_per_class=2)
    config = tmp_path / 'cam.py'
    config.write_text(
        "_base_ = __import__('bas_mm').find_config('cam_efficientnet-lite0_cub')\n"
        'model = dict(backbone=dict(init_cfg=None), head=dict(num_classes=2))\n'
    )
    torch.manual_seed(0)
    model = MODELS.build(load_config_file(str(config)).model)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'cam.pth')
    words = ['cam.py', 'cam.pth', '--data-root', 'toy', '--pairs']
    done = run(tmp_path, sys.executable, EXAMPLES / 'several_objects.py', *words)
    assert '2 images with several' in done.stdout
    assert re.search(r'true boxes, joined +100.0 +100.0 +2.0', done.stdout)
    assert re.search(r'whole image +0.0 +0.0 +1.0', done.stdout)
