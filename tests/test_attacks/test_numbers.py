"""Attacks on numbers and settings: what is given, and what is said of it."""

import json
import math
import re

import numpy as np
import pytest
import torch
from mmengine.config import Config

from bas_mm.apis import WSOLInferencer
from bas_mm.engine import FiniteHook, WSOLMonitorHook
from bas_mm.engine.runner import settle_hooks
from bas_mm.models.heads.bas_head import map_figures
from bas_mm.utils.configs import find_config, settle
from bas_mm.utils.files import without_nan
from bas_mm.utils.overrides import arguments, merge_options
from tests.helpers import inference, tiny
from tests.helpers.commands import call
from tests.helpers.runner import Runner, run
from tests.helpers.saved_maps import make_files

NAN, INF = float('nan'), float('inf')


@pytest.fixture(scope='module')
def bas(tmp_path_factory):
    """A folder with a tiny BAS, its checkpoint and its data."""
    folder = tmp_path_factory.mktemp('bas')
    for method in ('BAS', 'CAM'):
        path = tiny.write_config(folder, method)
        tiny.save(path, folder / f'{method.lower()}.pth')
    return folder


def broken(folder, key, value=NAN):
    """Write a checkpoint of BAS with a weight that is not finite."""
    state = torch.load(folder / 'bas.pth')
    state[key].view(-1)[0] = value
    torch.save(state, folder / 'broken.pth')
    return folder / 'broken.pth'


# 6: one loader


@pytest.mark.parametrize(
    'config, checkpoint, options, message',
    [
        ('cam', 'bas', [], r'2 are unknown \(head\.generator\.weight'),
        ('bas', 'cam', [], r'2 are missing \(head\.generator\.weight'),
        (
            'bas',
            'bas',
            ['--cfg-options', 'model.head.num_classes=4'],
            r'it has 3 classes and the config 4 \(`model\.head\.num_classes`\)',
        ),
        (
            'bas',
            'bas',
            ['--cfg-options', 'model.head.mid_channels=4'],
            'have another shape',
        ),
    ],
)
def test_a_checkpoint_of_another_model(
    bas, monkeypatch, config, checkpoint, options, message
):
    monkeypatch.chdir(bas)
    monkeypatch.setattr('bas_mm.engine.ClassCheckHook.before_test', lambda *x: None)
    with pytest.raises(SystemExit, match=message):
        call('test', f'{config}.py', f'{checkpoint}.pth', '--work-dir', 'w', *options)


def test_weights_that_are_not_finite(bas, monkeypatch):
    monkeypatch.chdir(bas)
    path = broken(bas, 'head.generator.weight')
    message = r"broken\.pth': 1 of \d+ weights are not finite \(head\.generator\.weight"
    with pytest.raises(SystemExit, match=message):
        call('test', 'bas.py', path, '--work-dir', 'w')
    with pytest.raises(ValueError, match=message):
        WSOLInferencer(str(bas / 'bas.py'), str(path), device='cpu')


# 7: losses, scores, maps, figures


def step(hook, runner, **losses):
    outputs = {name: torch.tensor(float(value)) for name, value in losses.items()}
    hook.after_train_iter(runner, 0, outputs=outputs)
    runner.iter += 1


class Hub:
    """The log of a runner without one."""

    log_scalars: dict = {}


@pytest.mark.parametrize('value', [NAN, INF, -INF])
def test_a_loss_that_is_not_finite(value):
    runner, hook = Runner(), FiniteHook()
    runner.message_hub = Hub()
    step(hook, runner, loss=1, loss_cls=1)
    step(hook, runner, loss=1, peak_logit=NAN)  # no loss
    with pytest.raises(
        ValueError,
        match=rf'at step 3 \(epoch 1\): loss={value}, loss_cls=0\.5, loss_ac={value}\. '
        r'Lower `optim_wrapper\.optimizer\.lr`.*--allow-nan N',
    ):
        step(hook, runner, loss=value, loss_cls=0.5, loss_ac=value)


def test_losses_of_a_scaler_are_allowed_in_a_row(caplog):
    runner, hook = Runner(), FiniteHook(allow=2)
    runner.message_hub = Hub()
    for value in (NAN, INF, 1, NAN, NAN):
        step(hook, runner, loss=value)
    assert caplog.text.count('1 of 2 in a row') == 2
    with pytest.raises(ValueError, match='at step 6'):
        step(hook, runner, loss=NAN)
    with pytest.raises(ValueError, match='`allow` must be 0 or more, got -1'):
        FiniteHook(allow=-1)


def test_losses_are_read_where_the_log_has_them():
    """A tensor that must not be looked at, and its value in the log."""

    class Buffer:
        def current(self):
            return INF

    runner, hook = Runner(), FiniteHook()
    runner.message_hub = Hub()
    runner.message_hub.log_scalars = {'train/loss': Buffer()}
    with pytest.raises(ValueError, match='loss=inf'):
        hook.after_train_iter(runner, 0, outputs=dict(loss=object()))


def test_training_stops_at_the_step_and_saves_nothing(bas, monkeypatch):
    monkeypatch.chdir(bas)
    words = ('--work-dir', 'nan', '--no-validate', '--seed', 0, '--cfg-options')
    with pytest.raises(SystemExit, match=r'not finite at step [2-9] .*loss_cls='):
        call('train', 'bas.py', *words, 'optim_wrapper.optimizer.lr=1e30')
    assert not list((bas / 'nan').glob('*.pth'))


def test_weights_that_are_not_finite_are_not_saved():
    with pytest.raises(ValueError, match=r'after step 0: 1 of 2 weights .*\(b\)'):
        state = dict(a=torch.zeros(2), b=torch.tensor([NAN]))
        FiniteHook().before_save_checkpoint(Runner(), dict(state_dict=state))


@pytest.mark.parametrize(
    'field, what', [('pred_score', 'scores .*are'), ('pred_map', 'map .*is')]
)
def test_scores_and_maps_that_are_not_finite(field, what):
    samples = [
        dict(img_path=f'{i}.jpg', pred_score=torch.ones(3), pred_map=torch.ones(2, 2))
        for i in range(3)
    ]
    FiniteHook().after_test_iter(Runner(), 0, outputs=samples)
    samples[1][field].view(-1)[0] = NAN
    with pytest.raises(
        ValueError, match=f'The {what.split()[0]} of 1.jpg .*not finite'
    ):
        FiniteHook().after_test_iter(Runner(), 0, outputs=samples)
    with pytest.raises(ValueError, match='1.jpg'):
        FiniteHook().after_val_iter(Runner(), 0, outputs=samples)


def test_inference_names_the_image(tmp_path, monkeypatch):
    inference.make_folder(tmp_path)
    inferencer = WSOLInferencer(
        str(tmp_path / 'tiny.pth'), device='cpu', show_progress=False
    )
    with torch.no_grad():
        inferencer.model.head.classifier[0].bias[1] = INF
    with pytest.raises(ValueError, match='The scores of a/0.png.*not finite'):
        inferencer(str(tmp_path / 'data'))
    with pytest.raises(ValueError, match=r'`topk` \(--topk\) is 4, but .* 3 classes'):
        inferencer(str(tmp_path / 'data'), topk=4)


def test_saved_maps_and_scores_that_are_not_finite(tmp_path):
    maps, _ = make_files(tmp_path)
    maps['c0/0.jpg'][0, 0] = NAN
    maps['c1/1.jpg'][:] = INF
    np.savez(tmp_path / 'maps.npz', **maps)
    scores = {name: [0.2, 0.8] for name in maps}
    scores['c0/0.jpg'], scores['c1/1.jpg'] = [NAN, 1], [0.1, 0.2, 0.7]
    (tmp_path / 's.json').write_text(json.dumps(scores))
    files = (tmp_path / 'maps.npz', tmp_path / 'boxes.csv')
    call('eval-maps', *files, '--scores', tmp_path / 's.json', '--json', tmp_path / 'j')
    found = json.loads((tmp_path / 'j').read_text(), parse_constant=pytest.fail)
    assert found['wsol/num_maps_not_finite'] == 2
    assert found['wsol/num_scores_not_finite'] == 1
    assert found['wsol/num_scores_of_other_length'] == 1
    call('eval-maps', tmp_path / 'maps', files[1], '--json', tmp_path / 'j')
    assert not re.search('not_finite|other_length', (tmp_path / 'j').read_text())


def test_no_nan_in_json():
    figures = dict(a=[1.5, NAN, (INF,)], b=dict(c=np.float64(NAN)), d='nan', e=None)
    assert without_nan(figures) == dict(a=[1.5, None, [None]], b=dict(c=None), d='nan',
                                        e=None)  # fmt: skip
    json.dumps(without_nan(figures), allow_nan=False)


# 11: a collapse that creeps

SOUND = dict(loss_cls=0.5, peak_logit=9, fg_area=0.3, fg_border=0.1, fg_spread=0.4)


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(fg_area=0.03), r'fell from 40\.00% after the warm-up to 3\.00%'),
        (dict(fg_spread=0.01), r'are alike \(spread 0\.010'),
        (dict(fg_border=0.8), r'border of the views is foreground \(mean 0\.80'),
    ],
)
def test_a_collapse_that_creeps(caplog, change, message):
    runner, hook = Runner(), WSOLMonitorHook(grace=0)
    run(hook, runner, 4, loss_cls=0.5, peak_logit=9)  # the warm-up
    run(hook, runner, 4, **{**SOUND, 'fg_area': 0.4})
    run(hook, runner, 4, **SOUND)
    assert not caplog.records
    run(hook, runner, 8, **{**SOUND, **change})
    (record,) = caplog.records
    assert re.search(message, record.getMessage())


def test_figures_of_maps():
    torch.manual_seed(0)
    maps = torch.rand(5, 1, 7, 6)
    found = map_figures(maps)
    array = maps[:, 0].numpy().astype(np.float64)
    ring = np.ones((7, 6), bool)
    ring[1:-1, 1:-1] = False
    assert float(found['fg_border']) == pytest.approx(array[:, ring].mean(), rel=1e-5)
    mean = array.mean()
    spread = math.sqrt(array.var(0).mean() / (mean * (1 - mean)))
    assert float(found['fg_spread']) == pytest.approx(spread, rel=1e-5)
    alike = map_figures(maps[:1].repeat(4, 1, 1, 1))
    assert float(alike['fg_spread']) == pytest.approx(0, abs=1e-3)
    assert map_figures(maps[:1]).keys() == {'fg_border'}
    assert float(map_figures(torch.zeros(2, 1, 2, 2))['fg_spread']) == 0


# 12: settings of the command line


def config(name='bas_vgg16_cub'):
    return Config.fromfile(find_config(name))


@pytest.mark.parametrize(
    'path, value, message',
    [
        ('model.head.treshold', 0.3, r'did you mean model\.head\.threshold\?'),
        ('model.haed.threshold', 0.3, r'did you mean model\.head\.threshold\?'),
        ('model.head.loss.betta', 2, r'did you mean model\.head\.loss\.beta\?'),
        (
            'optim_wrapper.optimizer.lrr',
            1,
            r'mean optim_wrapper\.optimizer\.lr\?',
        ),
        ('train_cfg.max_epoch', 3, r'did you mean train_cfg\.max_epochs\?'),
        ('train_dataloader.batchsize', 3, r'did you mean train_dataloader\.batch_size'),
        ('test_dataloader.dataset.splitt', 3, r'mean test_dataloader\.dataset\.split'),
        ('test_evaluator.0.treshold', 3, r'did you mean test_evaluator\.0\.threshold'),
        ('default_hooks.gird', None, r'did you mean default_hooks\.grid\?'),
        ('default_hooks.gird.num', 3, r'did you mean default_hooks\.grid'),
        (
            'default_hooks.monitor.grase',
            3,
            r'mean default_hooks\.monitor\.grace',
        ),
        ('default_hooks.grid.colls', 3, r'did you mean default_hooks\.grid\.cols'),
        ('default_hooks.checkpoint.max_keep_ckpt', 3, 'checkpoint.max_keep_ckpts'),
        ('learning_rate', 3, r"the config has no 'learning_rate'; it has "),
        ('randomness.sed', 3, r'did you mean randomness\.seed\?'),
    ],
)
def test_a_setting_that_does_not_exist(path, value, message):
    with pytest.raises(ValueError, match=f'--cfg-options {re.escape(path)}.*{message}'):
        merge_options(config(), {path: value})


@pytest.mark.parametrize(
    'path, value',
    [
        ('model.head.percentile', 0.9),
        ('model.head.loss.lambda_', 0),
        ('model.backbone.init_cfg', None),
        ('model.backbone.frozen_stages', 1),
        ('model.refiner.type', 'X'),
        ('optim_wrapper.clip_grad.max_norm', 5),
        ('optim_wrapper.optimizer.nesterov', True),
        ('optim_wrapper.paramwise_cfg.custom_keys.x.lr_mult', 2),
        ('train_dataloader.prefetch_factor', 2),
        ('train_dataloader.dataset.indices', [0]),
        ('test_dataloader.dataset.pipeline.3.type', 'CenterCrop'),
        ('default_hooks.checkpoint.max_keep_ckpts', 3),
        ('default_hooks.ema.type', 'EMAHook'),
        ('default_hooks.grid', None),
        ('custom_hooks', []),
        ('auto_scale_lr.base_batch_size', 32),
        ('randomness.deterministic', True),
        ('env_cfg.anything', 1),
    ],
)
def test_a_setting_that_may_be_added(path, value):
    cfg = config()
    merge_options(cfg, {path: value})
    part = cfg
    for key in path.split('.'):
        part = part[int(key)] if isinstance(part, (list, tuple)) else part[key]
    assert part == value


def test_arguments_of_classes():
    class Free:
        def __init__(self, a, **kwargs):
            self.kwargs = kwargs

    class Above:
        def __init__(self, b=1):
            pass

    class Below(Above):
        def __init__(self, a, **kwargs):
            super().__init__(**kwargs)

    assert arguments(Free) == ({'self', 'a'}, True)
    assert arguments(Below) == ({'self', 'a', 'b'}, False)
    assert arguments(None) == (set(), True)
    assert arguments(math.hypot)[1]


def test_topk_over_the_classes():
    settle(config(), 'test', {'model.head.num_classes': 6})  # 80 of the config: all
    for options in (
        {'model.head.topk': 201},
        {'model.head.topk': 7, 'model.head.num_classes': 6},
    ):
        with pytest.raises(ValueError, match=r'topk=\d+ is more than the \d+ classes'):
            settle(config(), 'test', options)
    settle(config(), 'test', {'model.head.topk': 200})


def test_a_hook_is_switched_off():
    cfg = config()
    merge_options(cfg, {'default_hooks.grid': None, 'default_hooks.timer': None})
    settle_hooks(cfg)
    assert 'grid' not in cfg.default_hooks and cfg.default_hooks.timer is None
    assert cfg.default_hooks.finite.type == 'bas_mm.FiniteHook'
    cfg.default_hooks.finite = None
    settle_hooks(cfg)
    assert 'finite' not in cfg.default_hooks


def test_figures_that_are_not_finite_stay_out_of_the_log(tmp_path):
    from bas_mm.visualization import WSOLVisualizer

    backends = [dict(type='LocalVisBackend')]
    visualizer = WSOLVisualizer(
        name='attack', vis_backends=backends, save_dir=str(tmp_path)
    )
    visualizer.add_scalars(dict(a=1.0, b=NAN, c=torch.tensor(INF)), step=3)
    (file,) = tmp_path.rglob('scalars.json')
    assert json.loads(file.read_text()) == dict(a=1.0, step=3)
