"""Configs of the journal version of BAS."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from tests.helpers.weights import inits, resolve

ROOT = Path(__file__).parents[2] / 'configs'
PATHS = {p.stem: p for p in sorted((ROOT / 'bas-ijcv').glob('*.py'))}
LITE = 'efficientnet-lite0'
# alpha, beta, K, threshold
RECIPE = {
    ('vgg16', 'cub'): (0.0, 0.9, 80, 0.1),
    ('resnet50', 'cub'): (0.5, 1.5, 200, 0.1),
    ('inception-v3', 'cub'): (0.5, 1.0, 200, 0.1),
    ('mobilenet-v1', 'cub'): (0.5, 1.9, 80, 0.1),
    ('vgg16', 'ilsvrc'): (0.05, 1.0, 1, 0.45),
    ('resnet50', 'ilsvrc'): (1.0, 2.0, 1, 0.25),
    ('inception-v3', 'ilsvrc'): (1.0, 2.5, 1, 0.25),
    ('mobilenet-v1', 'ilsvrc'): (0.5, 1.5, 1, 0.5),
    ('resnet50', 'openimages'): (0.5, 1.5, 1, 0.1),
}
TRUNKS = ('vgg16', 'resnet50', 'inception-v3', 'mobilenet-v1')


@pytest.fixture(autouse=True)
def scope(forget_scope):
    """Resolve stock types as the runner does."""
    init_default_scope('mmpretrain')


def load(name):
    return Config.fromfile(PATHS[name])


def test_the_set_is_complete():
    data = ('cub', 'ilsvrc', 'openimages')
    wanted = {f'bas-ijcv_{t}_{d}' for t in (*TRUNKS, LITE) for d in data}
    wanted |= {f'bas-ijcv_{LITE}_{d}' for d in ('toy', 'custom')}
    assert set(PATHS) == wanted


@pytest.mark.parametrize('trunk, data', RECIPE)
def test_recipe(trunk, data):
    cfg = load(f'bas-ijcv_{trunk}_{data}')
    head = cfg.model.head
    figures = (head.loss.alpha, head.loss.beta, head.topk, head.threshold)
    assert figures == RECIPE[trunk, data]
    epochs, batch = dict(cub=(120, 32), ilsvrc=(9, 128), openimages=(50, 64))[data]
    assert cfg.train_cfg.max_epochs == epochs
    if (trunk, data) == ('vgg16', 'ilsvrc'):
        batch = 256
    assert cfg.auto_scale_lr.base_batch_size == batch
    schedule = cfg.param_scheduler
    if data == 'ilsvrc':
        assert (schedule.type, schedule.step_size) == ('StepLR', 3)
        assert cfg.get('sync_bn') == (None if trunk == 'vgg16' else 'torch')
    else:
        steps = [80] if data == 'cub' else [20]
        assert (schedule.type, schedule.milestones) == ('MultiStepLR', steps)
    assert schedule.gamma == 0.1


@pytest.mark.parametrize('name', PATHS)
def test_no_relu_on_the_logit_maps_and_the_same_weights_to_start_from(name):
    cfg = load(name)
    assert cfg.model.head.final_relu is False
    _, trunk, data = name.split('_')
    base = 'cub' if data == 'openimages' else data
    bas = Config.fromfile(ROOT / 'bas' / f'bas_{trunk}_{base}.py')
    for key in ('backbone', 'neck', 'data_preprocessor', 'type'):
        assert cfg.model[key] == bas.model[key], key
    assert cfg.optim_wrapper == bas.optim_wrapper
    for init in inits(cfg.model.backbone):
        assert resolve(init['checkpoint'])


@pytest.mark.parametrize('trunk', [*TRUNKS, LITE])
def test_cam_on_openimages_differs_in_the_method_alone(trunk):
    cfg = load(f'bas-ijcv_{trunk}_openimages')
    cam = Config.fromfile(ROOT / 'cam' / f'cam_{trunk}_openimages.py')
    keys = {*cam} - {'model', 'default_hooks'}
    assert {k: cam[k] for k in keys} == {k: cfg[k] for k in keys}
    for key in ('backbone', 'neck', 'data_preprocessor'):
        assert cam.model[key] == cfg.model[key], key
    assert cam.model.type == 'bas_mm.CAMClassifier'
    own = {**cfg.model.head, 'type': 'bas_mm.CAMHead'}
    for key in ('loss', 'map_channels'):
        del own[key]
    init = own.pop('init_cfg')
    init.pop('override', None)  # of the generator
    assert {**own, 'init_cfg': init} == cam.model.head


def test_views_of_openimages():
    """Cut at random to train on, whole to test on."""
    cfg = load('bas-ijcv_resnet50_openimages')
    steps = [t.type for t in cfg.train_dataloader.dataset.pipeline]
    assert 'RandomCrop' in steps
    for loader, split in ((cfg.val_dataloader, 'val'), (cfg.test_dataloader, 'test')):
        assert loader.dataset.split == split and loader.dataset.test_mode
        _, masks, resize, _ = loader.dataset.pipeline
        assert masks.fit and masks.get('threshold', 1) == 1
        assert resize.scale == (224, 224) and not resize.keep_ratio


def train_and_predict(name):
    cfg = load(name)
    cfg.model.backbone.init_cfg = None
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    data = dict(
        inputs=torch.randint(0, 255, (2, 3, 64, 64), dtype=torch.uint8),
        data_samples=[DataSample().set_gt_label(i) for i in (0, 1)],
    )
    model.train()
    losses = model(**model.data_preprocessor(data, True), mode='loss')
    assert all(torch.isfinite(v) for v in losses.values())
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    model.eval()
    with torch.no_grad():
        out = model(**model.data_preprocessor(data), mode='predict')
    assert out[0].pred_score.shape == (cfg.model.head.num_classes,)


@pytest.mark.parametrize('name', [n for n in PATHS if LITE in n])
def test_a_step_and_a_prediction(name):
    train_and_predict(name)


@pytest.mark.slow
@pytest.mark.parametrize('name', [n for n in PATHS if LITE not in n])
def test_a_step_and_a_prediction_on_the_trunks_of_the_paper(name):
    train_and_predict(name)
