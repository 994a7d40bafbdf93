"""What a training step costs."""

import copy
import math

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from torch import nn

from bas_mm.analysis import cost
from bas_mm.analysis.cost import (
    MIB,
    Cost,
    Trainee,
    measure_cost,
    measure_costs,
    peak_allocated,
)
from bas_mm.registry import MODELS
from bas_mm.utils.configs import read_config
from tests.helpers.tiny import write_config

CPU = torch.device('cpu')


@MODELS.register_module()
class SeenInTraining(nn.Module):
    """A loss with weights of its own, which no test reads."""

    epochs: list = []

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 7)

    def forward(self, acts, target, epoch):
        self.epochs.append(epoch)
        return dict(loss_more=self.linear(acts.logits).square().mean())


@pytest.fixture(scope='module')
def configs(tmp_path_factory):
    folder = tmp_path_factory.mktemp('cost')
    return {m: read_config(str(write_config(folder, m))) for m in ('CAM', 'BAS')}


def count(model):
    return sum(p.numel() for p in model.parameters())


def test_peak_of_allocations():
    def work():
        for _ in range(3):  # one after the other: one at a time
            torch.empty(MIB, dtype=torch.uint8).fill_(1)

    assert MIB <= peak_allocated(work) < 1.01 * MIB
    assert peak_allocated(lambda: None) < 4096
    both = peak_allocated(lambda: [torch.zeros(MIB // 4) for _ in range(2)])
    assert 2 * MIB <= both < 2.01 * MIB


def test_parameters_that_a_test_reads(configs):
    """What gives NaN where it is NaN, is read."""
    cfg = copy.deepcopy(configs['BAS'])
    cfg.model.aux_losses = [dict(type='bas_mm.SeenInTraining')]
    trainee = Trainee(cfg, CPU)
    model = trainee.model
    assert trainee.count_deployed() == count(model) - (3 * 7 + 7)
    model.eval()
    data = model.data_preprocessor(copy.deepcopy(trainee.batch), False)
    for name, parameter in list(model.named_parameters())[-8:]:
        kept = parameter.data.clone()
        parameter.data.fill_(math.nan)
        with torch.no_grad():
            acts, scores, _ = model.score(data['inputs'])
            maps = model.maps(acts, data['inputs'], scores.topk(2).indices)
        read = bool(maps.isnan().any() or scores.isnan().any())
        assert read != name.startswith('aux_losses'), name
        parameter.data.copy_(kept)


def test_every_term_is_in_the_step(configs):
    cfg = copy.deepcopy(configs['CAM'])
    cfg.model.aux_losses = [dict(type='bas_mm.SeenInTraining')]
    hub = MessageHub.get_current_instance()
    hub.update_info('epoch', 5)
    SeenInTraining.epochs.clear()
    trainee = Trainee(cfg, CPU)
    before = {k: v.clone() for k, v in trainee.model.state_dict().items()}
    assert trainee.step() > 0
    assert SeenInTraining.epochs == [1]  # the last of two
    assert hub.get_info('epoch') == 5
    # it was one: the weights have moved
    after = trainee.model.state_dict()
    assert not torch.equal(
        before['aux_losses.0.linear.bias'], after['aux_losses.0.linear.bias']
    )


def test_memory(configs):
    cfg = copy.deepcopy(configs['CAM'])
    trainee = Trainee(cfg, CPU)
    trainee.step()
    plain = trainee.memory()
    weights = 4 * count(trainee.model) / MIB
    assert plain > 2 * weights  # and their gradients
    assert trainee.memory() == pytest.approx(plain, rel=0.01)
    cfg.optim_wrapper.optimizer.momentum = 0.9
    trainee = Trainee(cfg, CPU)
    trainee.step()
    assert trainee.memory() == pytest.approx(plain + weights, rel=0.05)
    assert trainee.batch_size == 5


def test_two_in_the_same_minutes(configs, monkeypatch):
    calls = []
    step = Trainee.step

    def spy(self):
        calls.append(type(self.model.head).__name__)
        return step(self)

    monkeypatch.setattr(Trainee, 'step', spy)
    bas, cam = measure_cost(configs['BAS'], configs['CAM'], 1, CPU)
    assert calls[:6] == ['BASHead', 'CAMHead'] * 3
    assert bas.parameters > cam.parameters and bas.memory > cam.memory
    assert bas.deployed == bas.parameters and bas.batch_size == 5
    assert bas.device == 'cpu' and min(bas.step_ms, cam.step_ms) > 0
    del calls[:]
    one, other = measure_cost(configs['CAM'], configs['CAM'], 1, CPU)
    assert one == other and len(calls) == 4  # with the one for the memory


def test_median_of_the_timed_steps(configs, monkeypatch):
    times = iter([100, 100, 0.3, 0.1, 0.2])
    monkeypatch.setattr(Trainee, 'step', lambda self: next(times))
    monkeypatch.setattr(Trainee, 'memory', lambda self: None)
    found, _ = measure_cost(configs['CAM'], configs['CAM'], 3, CPU)
    assert found.step_ms == pytest.approx(200) and found.memory is None


@pytest.mark.parametrize('key', ['pseudo_bbox', 'pseudo_mask'])
@pytest.mark.parametrize('file', ['', 'none'])
def test_whole_images_stand_in_for_pseudo_labels(configs, tmp_path, key, file):
    cfg = copy.deepcopy(configs['CAM'])
    cfg.train_dataloader.dataset.pipeline = [
        dict(type='bas_mm.LoadImageFromFile'),
        dict(type='bas_mm.LoadPseudoLabels', file=file and str(tmp_path / file)),
        dict(type='mmpretrain.Resize', scale=(64, 64)),
        dict(type='bas_mm.PackLocInputs', algorithm_keys=(key,)),
    ]
    given = copy.deepcopy(cfg.train_dataloader)
    trainee = Trainee(cfg, CPU)
    for sample in trainee.batch['data_samples']:
        label = sample.get(key)
        height, width = sample.ori_shape
        whole = [0, 0, width, height] if key == 'pseudo_bbox' else np.ones(label.shape)
        np.testing.assert_array_equal(label, whole)
    assert trainee.step() > 0 and cfg.train_dataloader == given


def test_pseudo_labels_that_are_there_are_read(configs, tmp_path):
    """An empty folder has no label for an image."""
    cfg = copy.deepcopy(configs['CAM'])
    read = dict(type='bas_mm.LoadPseudoLabels', file=str(tmp_path))
    cfg.train_dataloader.dataset.pipeline.insert(1, read)
    with pytest.raises(ValueError, match='has no pseudo label for'):
        Trainee(cfg, CPU)


def test_what_cannot_be_measured(configs):
    with pytest.raises(ValueError, match='At least 1 step must be timed, got 0'):
        measure_cost(configs['CAM'], configs['CAM'], 0, CPU)
    cfg = copy.deepcopy(configs['CAM'])
    cfg.train_dataloader = None
    with pytest.raises(ValueError, match='cam.py trains nothing'):
        Trainee(cfg, CPU)


def test_costs_are_kept(configs, tmp_path, monkeypatch, capsys):
    asked = []

    def measure(cfg, beside, steps, device):
        asked.append(cfg.model.head.type)
        if cfg.model.head.topk == 3:
            raise RuntimeError('out of memory')
        return Cost(4, 3, 2.0, 1.0, 5, 'cpu'), Cost(4, 4, 1.0, None, 5, 'cpu')

    monkeypatch.setattr(cost, 'measure_cost', measure)
    cfgs = dict(cam=copy.deepcopy(configs['CAM']), bas=copy.deepcopy(configs['BAS']))
    path = tmp_path / 'new' / 'costs.json'
    costs, faults = measure_costs(cfgs, 'cam', 3, CPU, path)
    assert asked == ['bas_mm.CAMHead', 'bas_mm.BASHead'] and not faults
    assert costs['bas'][0] == Cost(4, 3, 2.0, 1.0, 5, 'cpu')
    assert costs['bas'][1].memory is None
    assert measure_costs(cfgs, 'cam', 3, CPU, path) == (costs, [])
    assert len(asked) == 2
    # another config is measured anew, and one that fails stops no other
    cfgs['bas'].model.head.topk = 3
    found, faults = measure_costs(cfgs, 'cam', 3, CPU, path)
    assert list(found) == ['cam'] and asked[2:] == ['bas_mm.BASHead']
    assert faults == ['The cost of bas was not measured: out of memory']
    # so are others' steps
    measure_costs(cfgs, 'cam', 4, CPU, path)
    assert asked[3:] == ['bas_mm.CAMHead', 'bas_mm.BASHead']
