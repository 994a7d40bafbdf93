"""Calibration without boxes, on a tiny BAS."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample

from bas_mm.analysis.calibration import (
    Views,
    advise,
    box_masks,
    calibrate,
    enlarge_middle,
    training_views,
)
from bas_mm.apis import WSOLInferencer
from bas_mm.engine import CalibrateHook
from bas_mm.evaluation import MapDump
from bas_mm.localization import cut_of, map_to_bbox, view_map
from bas_mm.structures import Calibration
from tests.helpers.commands import call
from tests.helpers.tiny import build, write_config

SOUND = Calibration(0.2, 0.4, 0.9, 0.8, 0.3, 0.8, 0.7)


@pytest.fixture
def tiny(tmp_path):
    return build(write_config(tmp_path))


def views_of(model, size=64):
    torch.manual_seed(0)
    inputs = torch.rand(3, 3, size, size) * 4 - 2
    samples = [DataSample().set_gt_label(i) for i in (0, 2, 1)]
    return Views(inputs, samples)


def test_threshold_is_the_mean_of_the_rule(tiny):
    _, model = tiny
    views = views_of(model)
    found = calibrate(model, [views])
    options = dict(threshold=0.5, map_label='gt')
    samples = [DataSample().set_gt_label(s.gt_label) for s in views.samples]
    samples = model.predict(views.inputs, samples, test_cfg=options)
    maps = [view_map(s.pred_map, (64, 64)) for s in samples]
    assert found.threshold == pytest.approx(
        np.mean([0.65 * cut_of(one, 'otsu') for one in maps]), abs=6e-4
    )
    boxes = [map_to_bbox(s.pred_map, (64, 64), found.threshold) for s in samples]
    areas = [(x1 - x0) * (y1 - y0) / 64**2 for x0, y0, x1, y1 in boxes]
    assert found.area == pytest.approx(np.mean(areas))
    scores = [float(s.pred_score[s.gt_label]) for s in samples]
    assert found.score == pytest.approx(np.mean(scores), rel=1e-4)


def test_insertion_and_deletion_by_loops(tiny):
    _, model = tiny
    views = views_of(model)
    found = calibrate(model, [views])
    samples = model.predict(
        views.inputs, list(views.samples), test_cfg=dict(threshold=found.threshold)
    )
    inside, around = [], []
    for view, sample in zip(views.inputs, samples):
        x0, y0, x1, y1 = (int(v) for v in sample.pred_bbox)
        kept = view.mean((1, 2))[:, None, None].repeat(1, 64, 64)
        cut = view.clone()
        cut[:, y0:y1, x0:x1] = kept[:, y0:y1, x0:x1]
        kept[:, y0:y1, x0:x1] = view[:, y0:y1, x0:x1]
        for rows, one in ((inside, kept), (around, cut)):
            with torch.no_grad():
                logits = model(one[None], mode='tensor')
            rows.append(float(logits.softmax(1)[0, int(sample.gt_label)]))
    assert found.insertion == pytest.approx(np.mean(inside), rel=1e-4)
    assert found.deletion == pytest.approx(np.mean(around), rel=1e-4)


def test_batches_do_not_matter(tiny):
    _, model = tiny
    views = views_of(model)
    parts = [Views(views.inputs[i : i + 1], views.samples[i : i + 1]) for i in range(3)]
    whole, apart = (dataclasses.astuple(calibrate(model, v)) for v in ([views], parts))
    assert apart == pytest.approx(whole, rel=1e-3)


class _Square(torch.nn.Module):
    """A model whose map is the red channel: equivariant by construction."""

    def __init__(self, tiny):
        super().__init__()
        self.head = tiny.head

    def score(self, views):
        scores = torch.full((len(views), 3), 1 / 3)
        return None, scores, scores

    def maps(self, acts, views, classes):
        return views[:, 0]


def test_agreement_is_full_for_a_map_that_moves_with_the_view(tiny):
    views = views_of(tiny[1])
    views.inputs.zero_()
    views.inputs[:, 0, 20:40, 24:44] = 1
    found = calibrate(_Square(tiny[1]), [views])
    assert found.flip == 1
    assert found.scale > 0.9
    assert found.area == pytest.approx(400 / 64**2)


def test_no_images(tiny):
    with pytest.raises(ValueError, match='needs training images'):
        calibrate(tiny[1], [])


def test_training_views_know_no_boxes(tiny):
    cfg, model = tiny
    batches = list(training_views(cfg, model, num=7, batch_size=4))
    assert [len(b.samples) for b in batches] == [4, 3]
    assert batches[0].inputs.shape == (4, 3, 64, 64)
    for batch in batches:
        assert not any('gt_bboxes' in s or 'gt_seg_map' in s for s in batch.samples)
    again = list(training_views(cfg, model, num=7, batch_size=4))
    torch.testing.assert_close(again[0].inputs, batches[0].inputs)
    assert len(list(training_views(cfg, model, num=99, batch_size=99))[0].samples) == 9


@pytest.mark.parametrize(
    'num, pipeline, message',
    [
        (0, True, '`num_images` must be at least 1, got 0'),
        (5, False, 'no `test_dataloader.dataset.pipeline`'),
    ],
)
def test_what_cannot_be_read(tiny, num, pipeline, message):
    cfg, model = tiny
    if not pipeline:
        cfg.test_dataloader.dataset.pipeline = []
    with pytest.raises(ValueError, match=message):
        list(training_views(cfg, model, num))


def test_box_masks_and_middle():
    masks = box_masks(np.array([[1, 0, 3, 2], [0, 0, 0, 0]]), (3, 4))
    assert masks.sum((1, 2, 3)).tolist() == [4, 0]
    assert masks[0, 0, :2, 1:3].all()
    ramp = torch.arange(10.0).expand(1, 3, 10, 10)
    middle = enlarge_middle(ramp)
    assert middle.shape == ramp.shape
    assert 1 <= float(middle.min()) < float(middle.max()) <= 8


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(area=0.95), 'fill the view .mean area 95%.*raise `model.head.loss.beta`'),
        (dict(insertion=0.4, deletion=0.3), 'hold too little'),
        (dict(deletion=0.85), 'follow its surroundings'),
    ],
)
def test_advice(change, message):
    assert not advise(SOUND)
    (text,) = advise(dataclasses.replace(SOUND, **change))
    assert re.search(message, text)


def test_training_calibrates_and_all_read_it(tmp_path, monkeypatch):
    """From the hook through the checkpoint to the commands."""
    monkeypatch.chdir(tmp_path)
    write_config(tmp_path)
    text = (
        (tmp_path / 'bas.py').read_text().replace('threshold=0.3', "threshold='auto'")
    )
    text += "\ndefault_hooks['calibrate'] = dict(type='bas_mm.CalibrateHook')\n"
    (tmp_path / 'bas.py').write_text(text)
    call('train', 'bas.py', '--seed', '0', '--work-dir', 'w', '--no-validate')
    stored = WSOLInferencer('w/epoch_2.pth', show_progress=False)
    found = stored.model.head.calibration
    assert stored.test_options.threshold == found.threshold
    # the same by hand, from the weights alone
    weights = torch.load('w/epoch_2.pth', weights_only=False)
    assert weights['state_dict'].pop('head.calibration').shape == (7,)
    torch.save(weights, 'bare.pth')
    bare = WSOLInferencer('bare.pth', show_progress=False)
    assert bare.model.head.calibration is None
    assert bare.test_options.threshold == 'auto'
    call('calibrate', 'bas.py', 'bare.pth', '--out', 'new.pth', '--json', 'c.json')
    again = WSOLInferencer('new.pth', show_progress=False)
    assert again.model.head.calibration == found
    assert json.loads((tmp_path / 'c.json').read_text()) == dataclasses.asdict(found)
    call('test', 'bas.py', 'new.pth', '--dump', 'dump', '--work-dir', 't')
    assert MapDump('dump').info['threshold'] == found.threshold


def test_hook_loses_no_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_config(tmp_path)
    text = (tmp_path / 'bas.py').read_text()
    text += (
        "\ndefault_hooks['calibrate'] = dict(type='bas_mm.CalibrateHook')\n"
        'test_dataloader = test_cfg = test_evaluator = None\n'
    )
    # a name of its own: runs of one name and second share a log
    (tmp_path / 'unseen.py').write_text(text)
    call('train', 'unseen.py', '--work-dir', 'w', '--no-validate')
    state = torch.load('w/epoch_2.pth', weights_only=False)['state_dict']
    assert 'head.calibration' not in state
    (log,) = Path('w').glob('*/*.log')
    assert 'Not calibrated: A calibration reads' in log.read_text()


def test_hook_option():
    with pytest.raises(ValueError, match='`num_images` must be at least 1, got 0'):
        CalibrateHook(num_images=0)
