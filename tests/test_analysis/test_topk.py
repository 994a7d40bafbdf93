"""Every K from one pass: the same as one test for each K."""

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import Evaluator
from mmpretrain.registry import DATASETS
from torch import nn

from bas_mm.analysis import topk
from bas_mm.models import TwoNetworks
from tests.helpers.tiny import build, save, write_config

OPTIONS = [
    dict(),
    dict(map_label='pred'),
    dict(force_label=True),
    dict(force_label=True, map_label='pred'),
    dict(percentile=90.0),
]


@pytest.fixture(scope='module')
def configs(tmp_path_factory):
    folder = tmp_path_factory.mktemp('topk')
    return {method: write_config(folder, method) for method in ('CAM', 'BAS')}


class Keep(Evaluator):
    """Keeps the maps, in ``seen``, and evaluates."""

    seen = {}

    def process(self, data_samples, data_batch=None):
        self.seen.setdefault(id(self), []).extend(
            sample.pred_map.clone() for sample in data_samples
        )
        super().process(data_samples, data_batch)


def one_by_one(cfg, model, k):
    """Maps and metrics of an ordinary test."""
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    size = cfg.test_dataloader.batch_size
    model.head.topk = k
    evaluator, maps = Evaluator(cfg.test_evaluator), []
    for start in range(0, len(dataset), size):
        indices = range(start, min(start + size, len(dataset)))
        with torch.no_grad():
            samples = model.test_step(pseudo_collate([dataset[i] for i in indices]))
        maps += [sample.pred_map for sample in samples]
        evaluator.process(samples)
    return torch.stack(maps), evaluator.evaluate(len(dataset))


@pytest.mark.parametrize('method', ['CAM', 'BAS'])
@pytest.mark.parametrize('options', OPTIONS)
def test_all_k_equal_one_test_each(configs, monkeypatch, method, options):
    monkeypatch.setattr(topk, 'Evaluator', Keep)
    monkeypatch.setattr(Keep, 'seen', {})
    cfg, model = build(configs[method], **options)
    before = dict(vars(model.head))
    got = topk.sweep_topk(cfg, model, [1, 2, 3])
    assert vars(model.head) == before  # no attribute of the head is changed
    for k, maps in zip((1, 2, 3), Keep.seen.values()):
        expected, metrics = one_by_one(cfg, model, k)
        torch.testing.assert_close(torch.stack(maps), expected)
        assert got[k] == metrics


class Smooth(nn.Module):
    """A refiner that needs to know the classes."""

    def refine(self, maps, acts, inputs, classes):
        return maps + classes[:, :1, None] + classes.shape[1] * acts.logit_map[:, 0]


@pytest.mark.parametrize('kind', ['refiner', 'two networks'])
def test_models_that_do_more_than_means(configs, monkeypatch, kind):
    monkeypatch.setattr(topk, 'Evaluator', Keep)
    monkeypatch.setattr(Keep, 'seen', {})
    cfg, model = build(configs['CAM'], force_label=True)
    if kind == 'refiner':
        model.refiner = Smooth()
    else:
        torch.manual_seed(1)
        model = TwoNetworks(model, build(configs['CAM'])[1]).eval()
    got = topk.sweep_topk(cfg, model, [1, 3])
    for k, maps in zip((1, 3), Keep.seen.values()):
        expected, metrics = one_by_one(cfg, model, k)
        torch.testing.assert_close(torch.stack(maps), expected)
        assert got[k] == metrics


def test_ten_crops_only_classify(configs):
    cfg, model = build(configs['BAS'])
    pipeline = cfg.test_dataloader.dataset.pipeline
    pipeline[3] = dict(type='bas_mm.TenCrop', crop_size=64)
    got = topk.sweep_topk(cfg, model, [2])
    assert got[2] == one_by_one(cfg, model, 2)[1]


def test_metrics_that_sweep_are_left_out(configs):
    cfg, model = build(configs['CAM'])
    accuracy = cfg.test_evaluator
    cfg.test_evaluator = [
        dict(type='bas_mm.MaxBoxAcc'),
        dict(type='bas_mm.WSOLAccuracy', threshold='best', prefix='best'),
        accuracy,
    ]
    names = {name.split('/')[0] for name in topk.sweep_topk(cfg, model, [1])[1]}
    assert names == {'wsol'}
    cfg.test_evaluator = [dict(type='bas_mm.MaxBoxAcc')]
    assert 'wsol/max_box_acc' in topk.sweep_topk(cfg, model, [1])[1]


def test_default_ks():
    assert topk.default_ks(6, 3) == [1, 2, 3, 5, 6]
    assert topk.default_ks(200, 80) == [1, 2, 3, 5, 10, 20, 30, 50, 80, 100, 200]
    assert topk.default_ks(1, 80) == [1]


def test_map_of_the_label():
    maps = torch.arange(2 * 3.0).view(2, 3, 1, 1)
    classes = torch.tensor([[2, 0, 1], [1, 2, 0]])
    own = topk.maps_of(maps, classes, torch.tensor([0, 1]))
    assert own.flatten().tolist() == [1, 3]
    np.testing.assert_array_equal(own.shape, (2, 1, 1))


def test_study(configs, tmp_path):
    checkpoint = str(save(configs['BAS'], tmp_path / 'a.pth'))
    cfg, _ = build(configs['BAS'])
    table = topk.study_topk(cfg, [checkpoint] * 2)
    assert [(run.name, run.x) for run, _ in table] == [(f'K={k}', k) for k in (1, 2, 3)]
    assert all(len(rows) == 2 and rows[0] == rows[1] for _, rows in table)
    table = topk.study_topk(cfg, [checkpoint], ['3', '1'])
    assert [run.x for run, _ in table] == [1, 3]
    for values in (['4'], ['0', '1']):
        with pytest.raises(ValueError, match=r'K must be 1 to 3.*see --values'):
            topk.study_topk(cfg, [checkpoint], values)
    with pytest.raises(ValueError, match='--values .* must be whole numbers, got 1 x'):
        topk.study_topk(cfg, [checkpoint], ['1', 'x'])
