"""Configs of PSOL, and of what else puts two networks side by side."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from bas_mm.analysis.stages import declared
from bas_mm.utils.configs import (
    build_dataset,
    find_config,
    head_keys,
    list_configs,
    settle,
)
from tests.helpers.commands import call

ROOT = Path(__file__).parents[2] / 'configs'
TRUNKS = dict(
    psol=('vgg16', 'resnet50', 'inception-v3', 'mobilenet-v1'),
    c2am=('vgg16', 'resnet50', 'inception-v3', 'mobilenet-v1'),
    spol=('vgg16', 'resnet50', 'inception-v3'),
    gcnet=('vgg16', 'resnet50', 'inception-v3', 'mobilenet-v1'),
    ornet=('vgg16',),
)
PATHS = {p.stem: p for m in TRUNKS for p in sorted((ROOT / m).glob(f'{m}_*.py'))}
LOSSES = dict(
    psol={'loss_cls', 'loss_box'},
    c2am={'loss_cls', 'loss_push', 'loss_pull_fg', 'loss_pull_bg'},
    spol={'loss_cls', 'loss_mask'},
    gcnet={'loss_object', 'loss_rest', 'loss_size'},
    ornet={'loss_object', 'loss_entropy', 'loss_area'},
)
SIZE = 64


@pytest.fixture(autouse=True)
def scope(forget_scope):
    """Resolve stock types as the runner does."""
    init_default_scope('mmpretrain')


def load(name):
    return Config.fromfile(PATHS[name])


def build(cfg):
    for part in (cfg.model.localizer, cfg.model.classifier):
        part.backbone.init_cfg = None
        part.pop('init_cfg', None)
    torch.manual_seed(0)
    return MODELS.build(cfg.model)


def samples(n=2):
    labels = dict(
        pseudo_bbox=torch.tensor([4.0, 8.0, 40.0, 60.0]),
        pseudo_mask=torch.arange(SIZE * SIZE).view(SIZE, SIZE) % 2,
    )
    meta = dict(img_shape=(SIZE, SIZE))
    return [DataSample(metainfo=meta, **labels).set_gt_label(1) for _ in range(n)]


def test_the_set_is_complete():
    wanted = {
        f'{m}_{t}_{d}' for m in TRUNKS for t in TRUNKS[m] for d in ('cub', 'ilsvrc')
    }
    lite = ('cub', 'ilsvrc', 'toy', 'custom')
    wanted |= {f'{m}_efficientnet-lite0_{d}' for m in TRUNKS for d in lite}
    assert set(PATHS) == wanted


@pytest.mark.parametrize('name', PATHS)
def test_the_classifier_is_cam_and_so_is_what_is_around(name):
    rest = name.split('_', 1)[1]
    cfg, cam = load(name), Config.fromfile(ROOT / 'cam' / f'cam_{rest}.py')
    if init := cfg.model.classifier.pop('init_cfg', None):
        # of a training that comes first, by its last epoch
        last = f'work_dirs/cam_{rest}/epoch_{cam.train_cfg.max_epochs}.pth'
        assert init.checkpoint == last and cfg.model.learn == ('localizer',)
    assert cfg.model.classifier == cam.model
    same = dict(data_preprocessor=cam.model.data_preprocessor)
    heads = ['model.classifier.head']
    if name.startswith('ornet'):  # another trunk, and as many classes
        heads.insert(0, 'model.localizer.head')
        assert cfg.model.localizer.head.num_classes == cam.model.head.num_classes
    else:
        same['backbone'] = cam.model.backbone
        assert cfg.model.localizer.neck.start == cam.model.neck.start
    assert {key: cfg.model.localizer[key] for key in same} == same
    for key in ('test_dataloader', 'val_dataloader', 'test_evaluator', 'train_cfg'):
        assert cfg[key] == cam[key], key
    # true boxes and masks have no name in training
    text = str(cfg.train_dataloader.dataset.pipeline)
    assert 'LoadLocAnnotations' not in text and 'gt_' not in text
    assert head_keys(cfg.model) == heads
    assert Config.fromstring(cfg.pretty_text, '.py').model == cfg.model


def train_and_predict(name):
    """One step and one prediction; every parameter gets a gradient."""
    cfg, method = load(name), name.split('_')[0]
    model = build(cfg)
    data = dict(
        inputs=torch.randint(0, 255, (2, 3, SIZE, SIZE), dtype=torch.uint8),
        data_samples=samples(),
    )
    model.train()
    losses = model(**model.data_preprocessor(data, True), mode='loss')
    total = sum(v for k, v in losses.items() if 'loss' in k)
    total.backward()
    assert torch.isfinite(total)
    assert {k for k in losses if 'loss' in k} == LOSSES[method]
    for key, param in model.named_parameters():
        assert (param.grad is not None) == param.requires_grad, key
    model.eval()
    with torch.no_grad():
        out = model(**model.data_preprocessor(data), mode='predict')
    assert out[0].pred_score.shape == (cfg.model.classifier.head.num_classes,)
    assert out[0].pred_bbox.shape == (4,) and out[0].pred_map.ndim == 2


@pytest.mark.parametrize('name', [n for n in PATHS if 'lite0' in n])
def test_a_step_and_a_prediction(name):
    train_and_predict(name)


@pytest.mark.slow
@pytest.mark.parametrize('name', [n for n in PATHS if 'lite0' not in n])
def test_a_step_and_a_prediction_on_the_trunks_of_the_paper(name):
    train_and_predict(name)


@pytest.mark.parametrize(
    'name, head, trunk',
    [
        ('psol_vgg16_cub', (2,), (1, 2)),
        ('psol_efficientnet-lite0_toy', (2,), (1,)),
        ('c2am_resnet50_cub', (0.1,), (0.1,)),
        ('c2am_efficientnet-lite0_toy', (0.1,), (0.1,)),
    ],
)
def test_learning_rates(name, head, trunk):
    cfg = load(name)
    model = build(cfg)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    rates = {id(p): g['lr'] for g in optimizer.param_groups for p in g['params']}
    for key, param in model.named_parameters():
        if not param.requires_grad:
            continue
        factor = round(rates[id(param)] / cfg.optim_wrapper.optimizer.lr, 6)
        if key.startswith('localizer'):
            assert factor in (head if '.head.' in key else trunk), key
        else:
            assert factor in ((10, 20) if '.head.' in key else (1, 2)), key


def test_without_pseudo_labels_training_says_what_to_do(beside_toy_set):
    with pytest.raises(SystemExit, match=r'learns from pseudo labels: .*bas-mm ddt'):
        call('train', 'psol_efficientnet-lite0_toy')
    with pytest.raises(SystemExit, match=r"no pseudo labels 'no\.json'"):
        options = ('--cfg-options', 'pseudo_file=no.json')
        call('train', 'psol_efficientnet-lite0_toy', *options)


def test_the_pipeline_gives_boxes_of_the_file(beside_toy_set):
    """As the command line names it; drawn images, their pseudo boxes all alike."""
    cfg = load('psol_efficientnet-lite0_toy')
    first = build_dataset(cfg, 'train', pipeline=[])
    names = [first.get_data_info(i)['img_path'] for i in range(len(first))]
    images = [dict(id=i, file_name=n) for i, n in enumerate(names)]
    boxes = [dict(image_id=i, bbox=[0, 0, 256, 256]) for i in range(len(names))]
    Path('b.json').write_text(json.dumps(dict(images=images, annotations=boxes)))
    settle(cfg, 'train', dict(pseudo_file='b.json'))
    sample = build_dataset(cfg, 'train')[0]
    assert sample['inputs'].shape == (3, 224, 224)
    assert sample['data_samples'].pseudo_bbox.tolist() == [0, 0, 224, 224]
    assert 'gt_bboxes' not in sample['data_samples']


@pytest.mark.parametrize('path', sorted((ROOT / 'spol').glob('spol-cam_*.py')))
def test_the_first_stage_of_spol(path):
    """It learns on the trunk that the second stage has, by all its parameters."""
    cfg = Config.fromfile(path)
    second = Config.fromfile(path.with_name(path.name.replace('spol-cam', 'spol')))
    assert cfg.model.neck == second.model.localizer.neck
    assert cfg.model.head.channels == second.model.localizer.head.channels
    if 'lite0' not in path.stem:
        return
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    model.init_weights()
    head = model.head
    assert model.neck.feat_channels == tuple(cfg.model.head.channels)
    assert head.classifier[0].bias.unique().tolist() == pytest.approx([0.1])
    assert head.distill == ('ilsvrc' not in path.stem)
    model.train()
    views = torch.rand(2, 3, SIZE, SIZE)
    losses = model.loss(views, samples())
    wanted = {'loss_cls'} | ({'loss_distill'} if head.distill else set())
    assert {k for k in losses if 'loss' in k} == wanted
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    for key, param in model.named_parameters():
        assert (param.grad is not None) == param.requires_grad, key


def test_without_a_trained_classifier_gcnet_says_what_to_do(beside_toy_set):
    lost = r'work_dirs/cam_efficientnet-lite0_toy/epoch_9\.pth\. Train it first'
    with pytest.raises(SystemExit, match=f'The classifier does not learn .*{lost}'):
        call('train', 'gcnet_efficientnet-lite0_toy')


@pytest.mark.parametrize('name', list_configs())
def test_what_a_config_learns_from_is_made_by_its_stages(name):
    """So that compare-methods trains it by its name alone."""
    cfg = Config.fromfile(find_config(name))
    needed = {'pseudo_file'} & set(cfg)
    for part in ('localizer', 'classifier'):
        init = cfg.model.get(part, {}).get('init_cfg') or {}
        if str(init.get('checkpoint')).startswith('work_dirs/'):
            needed.add(f'model.{part}.init_cfg.checkpoint')
    stages = declared(cfg)
    if name.startswith('scg_'):  # weights of another config, as they are
        needed.add('checkpoint')
    assert sorted(stage['key'] for stage in stages) == sorted(needed)
    for stage in stages:
        if stage['config']:  # is there, on the same data
            assert Path(find_config(stage['config'])).stem == stage['config']
            assert stage['config'].split('_')[-1] == name.split('_')[-1]
        if stage['key'].startswith('model.'):  # also by hand, from its default folder
            first = Config.fromfile(find_config(stage['config']))
            checkpoint = cfg
            for key in stage['key'].split('.'):
                checkpoint = checkpoint[key]
            last = f'epoch_{first.train_cfg.max_epochs}.pth'
            assert checkpoint == f'work_dirs/{stage["config"]}/{last}'


@pytest.mark.parametrize('path', sorted((ROOT / 'ornet').glob('ornet-cam_*.py')))
def test_the_first_stage_of_ornet(path):
    """Its trunk and U-Net are what the second stage begins with."""
    cfg = Config.fromfile(path)
    data = path.stem.split('_')[-1]
    trunk = 'vgg16' if 'resnet50' in path.stem else 'efficientnet-lite0'
    second = load(f'ornet_{trunk}_{data}').model.localizer
    last = f'work_dirs/{path.stem}/epoch_{cfg.train_cfg.max_epochs}.pth'
    assert second.init_cfg.checkpoint == last
    assert second.neck.end == cfg.model.neck.start
    shared = {'num_classes', 'map_channels', 'width', 'momentum'}
    for key in shared & {*cfg.model.head, *second.head}:
        assert second.head[key] == cfg.model.head[key], key
    cfg.model.backbone.init_cfg = second.init_cfg = None
    torch.manual_seed(0)
    first, then = MODELS.build(cfg.model), MODELS.build(second)
    first.init_weights()
    state = first.state_dict()
    fits = {k for k, v in then.state_dict().items() if k in state}
    assert fits == set(then.state_dict()) and first.neck.feat_channels[0] == (
        cfg.model.head.map_channels
    )
    then.load_state_dict({k: state[k] for k in fits})
    assert not any(p.requires_grad for p in then.backbone.parameters())
    with torch.no_grad():
        views = torch.rand(1, 3, SIZE, SIZE)
        stems = first.eval().neck(views)[0], then.eval().neck(views)[-1]
    torch.testing.assert_close(*stems)
    assert stems[0].shape[2:] == (SIZE // 4, SIZE // 4)


@pytest.mark.parametrize('lost', ['localizer', 'classifier'])
def test_without_what_comes_first_ornet_says_what_to_do(lost, beside_toy_set):
    first = 'ornet-cam' if lost == 'localizer' else 'cam'
    path = rf'work_dirs/{first}_efficientnet-lite0_toy/epoch_9\.pth\. Train it first'
    options = []
    if lost == 'classifier':
        Path('l.pth').write_bytes(b'')
        options = ['--cfg-options', 'model.localizer.init_cfg.checkpoint=l.pth']
    with pytest.raises(SystemExit, match=f'The {lost} .*{path}.*model.{lost}.init_cfg'):
        call('train', 'ornet_efficientnet-lite0_toy', *options)
