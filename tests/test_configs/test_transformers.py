"""Configs on transformers, and of what else reads their tokens."""

import math
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from bas_mm.apis.model import brings_classifier
from tests.helpers.weights import inits, resolve

ROOT = Path(__file__).parents[2] / 'configs'
DATA = ('cub', 'ilsvrc', 'toy', 'custom')
# method: trunk
TRUNKS = dict(cam='deit-small', sat='deit-small', tscam='deit-small')
PATHS = {
    f'{m}_{t}_{d}': ROOT / m / f'{m}_{t}_{d}.py'
    for m, t in TRUNKS.items()
    for d in DATA
}


@pytest.fixture(autouse=True)
def scope(forget_scope):
    """Resolve stock types as the runner does."""
    init_default_scope('mmpretrain')


def load(name):
    return Config.fromfile(PATHS[name])


def build(cfg):
    cfg.model.backbone.init_cfg = None
    torch.manual_seed(0)
    return MODELS.build(cfg.model)


def test_the_set_is_complete():
    for method in TRUNKS.keys() - {'cam'}:
        found = {p.stem for p in (ROOT / method).glob('*.py')}
        assert found == {n for n in PATHS if n.startswith(f'{method}_')}


@pytest.mark.parametrize('name', PATHS)
def test_nothing_but_the_method_differs(name):
    method, rest = name.split('_', 1)
    cfg, cam = load(name), Config.fromfile(ROOT / 'cam' / f'cam_{rest}.py')
    schedule = {'optim_wrapper', 'train_cfg', 'train_dataloader', 'auto_scale_lr'}
    for key in cam.keys() - {'model', *(schedule if method == 'sat' else ())}:
        assert cfg[key] == cam[key], key
    for key in ('data_preprocessor', 'type'):
        assert cfg.model[key] == cam.model[key], key
    changed = dict(cfg.model.backbone)
    if method == 'sat':
        changed = {**changed, 'type': 'VisionTransformer'}
        assert changed.pop('drop_path_rate') == 0.1
    assert changed == cam.model.backbone
    for key in ('num_classes', 'in_channels', 'topk'):
        assert cfg.model.head.get(key) == cam.model.head.get(key), key


@pytest.mark.parametrize('name', PATHS)
def test_a_step_and_a_prediction(name):
    """Every parameter that is trained gets a gradient."""
    cfg = load(name)
    model = build(cfg)
    size = cfg.model.backbone.patch_size * 4
    data = dict(
        inputs=torch.randint(0, 255, (2, 3, size, size), dtype=torch.uint8),
        data_samples=[DataSample().set_gt_label(1) for _ in range(2)],
    )
    model.train()
    losses = model(**model.data_preprocessor(data, True), mode='loss')
    total = sum(v for k, v in losses.items() if 'loss' in k)
    total.backward()
    assert torch.isfinite(total)
    for key, param in model.named_parameters():
        assert (param.grad is not None) == param.requires_grad, key
    model.eval()
    with torch.no_grad():
        out = model(**model.data_preprocessor(data), mode='predict')
    assert out[0].pred_score.shape == (cfg.model.head.num_classes,)
    assert out[0].pred_map.shape == (4, 4) and out[0].pred_bbox.shape == (4,)


@pytest.mark.parametrize('name', PATHS)
def test_weights_and_schedule(name):
    cfg = load(name)
    (init,) = [i for i in inits(cfg.model) if i.get('type') == 'Pretrained']
    own = 'openmmlab' in resolve(init['checkpoint'])
    assert init.get('prefix') == ('backbone' if own else None)
    epochs = cfg.train_cfg.max_epochs
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1)
    schedule = dict(cfg.param_scheduler, end=epochs, optimizer=optimizer)
    rates = []
    scheduler = PARAM_SCHEDULERS.build(schedule)
    for _ in range(epochs):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        scheduler.step()
    least = cfg.param_scheduler.eta_min
    for i, rate in enumerate(rates):
        cosine = (1 + math.cos(math.pi * i / epochs)) / 2
        assert rate == pytest.approx(least + (1 - least) * cosine)


@pytest.mark.parametrize('name', [n for n in PATHS if n.endswith('cub')])
def test_what_has_no_weight_decay(name):
    cfg = load(name)
    model = build(cfg)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    assert type(optimizer) is torch.optim.AdamW
    decays = {
        id(p): g['weight_decay'] for g in optimizer.param_groups for p in g['params']
    }
    for key, param in model.named_parameters():
        free = key.endswith(('bias', '_token', 'pos_embed', '_pos')) or '.ln' in key
        expected = 0 if free else cfg.optim_wrapper.optimizer.weight_decay
        if param.requires_grad:
            assert decays[id(param)] == expected, key


DISCOVERY = {
    p.stem: p for m in ('lost', 'tokencut') for p in sorted((ROOT / m).glob('*.py'))
}


def test_the_set_of_methods_without_labels_is_complete():
    assert set(DISCOVERY) == {
        f'{m}_{t}_{d}'
        for m in ('lost', 'tokencut')
        for t in ('vit-small-dino', 'efficientnet-lite0')
        for d in DATA
    }


@pytest.mark.parametrize('name', DISCOVERY)
def test_methods_without_labels(name):
    """They predict as they are, and every weight comes with the config."""
    cfg = Config.fromfile(DISCOVERY[name])
    assert brings_classifier(cfg.model)
    (init,) = [i for i in inits(cfg.model) if i.get('type') == 'Pretrained']
    assert resolve(init['checkpoint']) and init.get('prefix') is None
    cam = load(f"cam_deit-small_{name.split('_')[2]}")
    assert cfg.model.head.num_classes == cam.model.head.num_classes
    model = build(cfg)
    model.eval()
    data = dict(
        inputs=torch.randint(0, 255, (2, 3, 64, 64), dtype=torch.uint8),
        data_samples=[DataSample() for _ in range(2)],
    )
    with torch.no_grad():
        out = model(**model.data_preprocessor(data), mode='predict')
    assert out[0].pred_score.shape == (cfg.model.head.num_classes,)
    assert out[0].pred_map.shape == (4, 4) and out[0].pred_map.max() == 1


TRILITE = {p.stem: p for p in sorted((ROOT / 'trilite').glob('*.py'))}


@pytest.mark.parametrize('name', TRILITE)
def test_trilite(name):
    """On a trunk that is frozen, in whole or in part."""
    cfg = Config.fromfile(TRILITE[name])
    for init in inits(cfg.model):
        if init.get('type') == 'Pretrained':
            own = 'openmmlab' in resolve(init['checkpoint'])
            assert init.get('prefix') == ('backbone' if own else None)
    model = build(cfg)
    size = 56 if 'dinov2' in name else 64
    data = dict(
        inputs=torch.randint(0, 255, (2, 3, size, size), dtype=torch.uint8),
        data_samples=[DataSample().set_gt_label(1) for _ in range(2)],
    )
    model.train()
    losses = model(**model.data_preprocessor(data, True), mode='loss')
    assert {k for k in losses if 'loss' in k} == {'loss_cls', 'loss_fg', 'loss_bg'}
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    for key, param in model.named_parameters():
        assert (param.grad is not None) == param.requires_grad, key
    model.eval()
    with torch.no_grad():
        out = model(**model.data_preprocessor(data), mode='predict')
    assert out[0].pred_score.shape == (cfg.model.head.num_classes,)
    assert out[0].pred_map.shape == (4, 4)
    if 'dinov2' in name:
        trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
        assert all(p.requires_grad for p in model.head.parameters())
        assert trained == sum(p.numel() for p in model.head.parameters()) < 0.8e6


def test_the_set_of_trilite_is_complete():
    trunks = ('vit-small-dinov2', 'efficientnet-lite0')
    assert set(TRILITE) == {f'trilite_{t}_{d}' for t in trunks for d in DATA}
