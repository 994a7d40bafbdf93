"""Inference and its plain version."""

import sys
from types import ModuleType

import numpy as np
import pytest
import torch

from bas_mm.analysis import infer_benchmark, plain
from bas_mm.analysis.infer_benchmark import time_inference
from bas_mm.analysis.plain import Found, compare, plain_box, require_equal
from bas_mm.localization import map_to_bbox
from bas_mm.utils.configs import read_config
from tests.helpers.tiny import save, write_config

CPU = torch.device('cpu')


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """A config of BAS and one of CAM, with their weights."""
    folder = tmp_path_factory.mktemp('infer')
    found = {}
    for method in ('BAS', 'CAM'):
        path = write_config(folder, method)
        found[method] = path, str(save(path, folder / f'{method}.pth'))
    return found


@pytest.mark.parametrize('method', ['BAS', 'CAM'])
def test_every_way_is_timed(files, monkeypatch, method):
    monkeypatch.setattr(infer_benchmark, 'find_grad_cam', lambda: None)
    path, checkpoint = files[method]
    cfg = read_config(str(path))
    (one, note), (two, _) = time_inference(cfg, checkpoint, [1, 3], 1, CPU)
    for arms, size in ((one, 1), (two, 3)):
        names = [arm.name for arm in arms]
        assert names == ['bas_mm', 'bas_mm --fast', 'plain', 'CAM']
        for arm in arms:
            assert arm.batch_size == size and arm.seconds > 0 and arm.memory > 0
            assert set(arm.parts) == {'forward', 'maps', 'boxes'}
            assert 0.2 < sum(arm.parts.values()) <= 1
    assert note.startswith('--fast, 1 images: scores at most ')


def test_grad_cam_stands_beside_where_it_is(files, monkeypatch):
    made = ModuleType('pytorch_grad_cam')

    class GradCAM:
        """The mean of the features, weighted with their gradients."""

        def __init__(self, model, target_layers):
            self.model, (self.layer,) = model, target_layers

        def __enter__(self):
            self.handle = self.layer.register_forward_hook(self.note)
            return self

        def note(self, module, args, output):
            self.output = output

        def __exit__(self, *error):
            self.handle.remove()

        def __call__(self, input_tensor, targets):
            assert targets is None
            best = self.model(input_tensor).amax(1).sum()
            (grad,) = torch.autograd.grad(best, self.output)
            maps = (grad.mean((2, 3), keepdim=True) * self.output).sum(1)
            return maps.detach().numpy()

    made.GradCAM = GradCAM
    monkeypatch.setitem(sys.modules, 'pytorch_grad_cam', made)
    path, checkpoint = files['BAS']
    ((arms, _),) = time_inference(read_config(str(path)), checkpoint, [2], 1, CPU)
    assert arms[-1].name == 'GradCAM' and arms[-1].seconds > 0
    monkeypatch.setitem(sys.modules, 'pytorch_grad_cam', None)
    assert infer_benchmark.find_grad_cam() is None


def test_a_plain_version_that_finds_something_else(files, monkeypatch):
    path, checkpoint = files['BAS']
    box = plain.plain_box
    monkeypatch.setattr(plain, 'plain_box', lambda *args: box(*args) + 1)
    with pytest.raises(ValueError, match='boxes 1 pixels off .*not compute the same'):
        list(time_inference(read_config(str(path)), checkpoint, [2], 1, CPU))


def test_what_has_no_plain_version(files):
    cfg = read_config(str(files['CAM'][0]))
    cfg.model.refiner = dict(type='bas_mm.FlipScaleRefiner')
    with pytest.raises(ValueError, match='WSOLClassifier without a refiner'):
        list(time_inference(cfg, None, [2], 1, CPU))


def test_plain_boxes_are_the_boxes():
    rng = np.random.default_rng(0)
    for _ in range(50):
        pred_map = rng.random(rng.integers(1, 9, 2), np.float32)
        for cut in ((0.5, None), (0.9, None), ('otsu', None), (0.7, 90)):
            ours = map_to_bbox(pred_map, (20, 30), cut[0], percentile=cut[1])
            assert np.array_equal(plain_box(pred_map, (20, 30), *cut), ours)
    flat, whole = np.ones((3, 3), np.float32), [0, 0, 30, 20]
    assert plain_box(flat, (20, 30), 0.5, None).tolist() == whole
    two = np.float32([[0, 1, 0, 1]])  # of one size: the first
    assert plain_box(two, (1, 4), 0.5, None).tolist() == [1, 0, 2, 1]


def make_found(score=0.0, value=0.0, box=0.0):
    maps = np.linspace(0, 2, 8).reshape(2, 2, 2) + value
    return Found(np.eye(2) + score, maps, np.array([[0.0, 0, 10, 10]] * 2) + box)


def test_equal_is_to_rounding():
    plain = make_found()
    require_equal(make_found(1e-5, 1e-5), plain, plain.boxes)
    for other in (make_found(score=1e-3), make_found(value=1e-3), make_found(box=1)):
        with pytest.raises(ValueError, match='do not compute the same'):
            require_equal(other, plain, plain.boxes)
    for nan in (make_found(score=np.nan), make_found(value=np.nan)):
        for one in (plain, nan):
            with pytest.raises(ValueError, match='do not compute the same'):
                require_equal(nan, one, one.boxes)


def test_how_far_fast_is():
    text = compare(make_found(0.01, 0.2, 5), make_found())
    assert 'scores at most 0.01 off, maps 0.1 of their range' in text
    assert '100% with the same class' in text
    iou = 25 / 175
    assert f'IoU of the boxes {iou:.3f} (least {iou:.3f})' in text
