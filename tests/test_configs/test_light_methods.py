"""Configs of ADL, CutMix, EIL, Hide-and-Seek, Mixup, RCAM, SCG and SPA."""

import copy
import functools
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS, TRANSFORMS
from mmpretrain.structures import DataSample

ROOT = Path(__file__).parents[2] / 'configs'
PAPER = ('vgg16', 'resnet50', 'inception-v3', 'mobilenet-v1')
FOLDERS = ('adl', 'cutmix', 'eil', 'has', 'mixup', 'rcam', 'scg', 'spa')
PATHS = {p.stem: p for f in FOLDERS for p in sorted((ROOT / f).glob('*.py'))}


@pytest.fixture(autouse=True)
def scope(forget_scope):
    """Resolve stock types as the runner does."""
    init_default_scope('mmpretrain')


def load(name):
    return Config.fromfile(PATHS[name])


def base_of(name):
    """The config that it inherits, by its name."""
    method, rest = name.split('_', 1)
    return load_base('bas' if method == 'scg' else 'cam', rest)


@functools.cache
def load_base(base, rest):
    return Config.fromfile(ROOT / base / f'{base}_{rest}.py')


def build(cfg):
    cfg.model.backbone.init_cfg = None
    torch.manual_seed(0)
    return MODELS.build(cfg.model)


@functools.cache
def base_keys(bas):
    """Keys of the base's checkpoints."""
    cfg = load_base('bas' if bas else 'cam', 'efficientnet-lite0_toy')
    return build(copy.deepcopy(cfg)).state_dict().keys()


def batch(size=64):
    rng = torch.Generator().manual_seed(0)
    return dict(
        inputs=torch.randint(
            0, 255, (2, 3, size, size), dtype=torch.uint8, generator=rng
        ),
        data_samples=[DataSample().set_gt_label(i) for i in (0, 1)],
    )


def train_and_predict(cfg):
    """One step and one prediction."""
    model = build(cfg)
    model.train()
    losses = model(**model.data_preprocessor(batch(), True), mode='loss')
    total = sum(v for k, v in losses.items() if 'loss' in k)
    total.backward()
    assert torch.isfinite(total)
    for name, param in model.named_parameters():
        assert (param.grad is not None) == param.requires_grad, name
    model.eval()
    with torch.no_grad():
        out = model(**model.data_preprocessor(batch()), mode='predict')
    assert out[0].pred_score.shape == (cfg.model.head.num_classes,)
    assert out[0].pred_bbox.shape == (4,) and out[0].pred_map.ndim == 2
    return model, losses


def test_the_set_is_complete():
    pairs = {(b, d) for b in PAPER for d in ('cub', 'ilsvrc')}
    pairs |= {('efficientnet-lite0', d) for d in ('cub', 'ilsvrc', 'toy', 'custom')}
    wanted = {f'{m}_{b}_{d}' for m in FOLDERS for b, d in pairs}
    wanted |= {
        f'meil_{b}_{d}'
        for b, d in pairs
        if b in ('vgg16', 'inception-v3', 'efficientnet-lite0')
    }
    assert set(PATHS) == wanted


@pytest.mark.parametrize('name', PATHS)
def test_nothing_but_the_method_differs(name):
    cfg, base = load(name), base_of(name)
    method = name.split('_')[0]
    keys = {'default_scope', 'val_dataloader', 'test_dataloader', 'optim_wrapper'}
    keys |= {'param_scheduler', 'train_cfg', 'test_evaluator', 'default_hooks'}
    if method != 'has':
        keys.add('train_dataloader')
    for key in keys & base.keys():
        assert cfg[key] == base[key], key
    assert cfg.model.backbone == base.model.backbone
    for key in ('num_classes', 'in_channels'):
        assert cfg.model.head[key] == base.model.head[key], key
    # without a ReLU nothing but RAM trains the mean over many classes
    single = method == 'spa' and 'lite0' not in name
    assert cfg.model.head.topk == (1 if single else base.model.head.topk)
    if method not in ('rcam', 'scg', 'spa'):
        assert cfg.model.head.threshold == base.model.head.threshold


@pytest.mark.parametrize('name', [n for n in PATHS if n.endswith('lite0_toy')])
def test_a_step_and_a_prediction(name):
    cfg = load(name)
    model, losses = train_and_predict(cfg)
    assert model.state_dict().keys() == base_keys(name.startswith('scg'))
    expected = {'eil': 'loss_erased', 'meil': 'loss_erased', 'scg': 'loss_bas'}
    assert expected.get(name.split('_')[0], 'loss_cls') in losses


@pytest.mark.slow
@pytest.mark.parametrize(
    'name', [n for n in PATHS if n.endswith('_cub') and 'lite0' not in n]
)
def test_a_step_and_a_prediction_on_the_trunks_of_the_paper(name):
    train_and_predict(load(name))


@pytest.mark.parametrize('name', [n for n in PATHS if n.startswith('spa')])
def test_ram_begins_before_training_ends(name):
    cfg = load(name)
    (ram,) = cfg.model.aux_losses
    assert 0 < ram.start_epoch < cfg.train_cfg.max_epochs


def test_ram_reaches_the_loss():
    cfg = load('spa_efficientnet-lite0_toy')
    cfg.model.aux_losses[0].start_epoch = 0
    model = build(cfg).train()
    losses = model(**model.data_preprocessor(batch(), True), mode='loss')
    assert losses['loss_ram'] > 0


@pytest.mark.parametrize('method', ['cutmix', 'mixup'])
def test_mixed_labels_have_the_classes_of_the_head(method):
    """Also where an option changed how many there are, and model after model."""
    cfg = load(f'{method}_efficientnet-lite0_cub')
    cfg.merge_from_dict({'model.head.num_classes': 7})
    for _ in range(2):
        model = build(cfg)
        np.random.seed(0)
        data = model.data_preprocessor(batch(), True)
        scores = torch.stack([s.gt_score for s in data['data_samples']])
        assert scores.shape == (2, 7)
        torch.testing.assert_close(scores.sum(1), torch.ones(2))
    plain = model.data_preprocessor(batch(), False)['inputs']
    assert not torch.equal(data['inputs'], plain)


@pytest.mark.parametrize('name', [n for n in PATHS if n.startswith('has')])
def test_what_is_hidden_is_0_after_normalization(name):
    cfg, base = load(name), base_of(name)
    pipeline = cfg.train_dataloader.dataset.pipeline
    (hide,) = [t for t in pipeline if t.type == 'bas_mm.HideAndSeek']
    rest = [t for t in pipeline if t is not hide]
    assert rest == base.train_dataloader.dataset.pipeline
    assert pipeline[-1].type == 'PackInputs' and pipeline[-2] is hide
    transform = TRANSFORMS.build(dict(copy.deepcopy(hide), drop_rate=1.0))
    img = np.full((64, 64, 3), 9, np.uint8)
    packed = transform(dict(img=img))['img'].transpose(2, 0, 1)
    kind = dict(type='bas_mm.WSOLDataPreprocessor', **cfg.model.data_preprocessor)
    data = dict(inputs=torch.from_numpy(packed.copy())[None])
    assert MODELS.build(kind)(data)['inputs'].abs().max() < 0.01
