"""Studies as lists of runs."""

import copy

import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS

from bas_mm.analysis.ablation import list_runs, read_overrides
from bas_mm.utils.configs import load_config_file
from tests.helpers.tiny import build, write_config

LOSS = 'model.head.loss.'


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    return write_config(tmp_path_factory.mktemp('ablate'))


def overrides(runs):
    return {run.name: run.overrides for run in runs}


def test_lists_of_runs(config):
    cfg, _ = build(config)
    assert overrides(list_runs(cfg, 'loss')) == {
        'cls+frg+ac+bas': {},
        'cls+frg+ac': {LOSS + 'lambda_': 0},
        'cls+frg+bas': {LOSS + 'beta': 0},
        'cls+ac+bas': {LOSS + 'alpha': 0},
    }
    assert overrides(list_runs(cfg, 'mask')) == {
        m: {LOSS + 'mask': m} for m in ('feature', 'image')
    }
    assert overrides(list_runs(cfg, 'topk')) == {'config': {}}
    assert overrides(list_runs(cfg, 'alpha', ['0', '1.5'])) == {
        f'alpha={a:g}': {LOSS + 'alpha': a} for a in (0, 0.5, 1.5)
    }
    with pytest.raises(ValueError, match='^--values .* must be numbers, got 0 x.$'):
        list_runs(cfg, 'alpha', ['0', 'x'])
    for value in ('x', '1.5'):
        with pytest.raises(ValueError, match='^--values .* must be whole numbers, got'):
            list_runs(cfg, 'topk', [value])
    assert [r.x for r in list_runs(cfg, 'beta')] == [0.5, 1, 1.5, 2, 2.5]
    cfg.model.head.loss.beta = 'auto'  # 1 + 2 * 0.5 * (1 - 1 / 3), for all runs
    assert [r.x for r in list_runs(cfg, 'beta', ['0'])] == pytest.approx([0, 5 / 3])
    for run in (*list_runs(cfg, 'loss'), *list_runs(cfg, 'alpha')):
        price = 0 if run.name == 'cls+frg+bas' else pytest.approx(5 / 3)
        assert run.overrides[LOSS + 'beta'] == price
    cfg.model.head.loss.beta = 1
    cfg.model.head.loss.alpha = 0  # VGG16 on CUB: a term that is not there
    assert list(overrides(list_runs(cfg, 'loss'))) == [
        'cls+ac+bas',
        'cls+ac',
        'cls+bas',
    ]


@pytest.mark.parametrize(
    'name, channels',
    [
        ('vgg16', {'features.9': 256, 'features.13': 512, None: 512}),
        ('efficientnet-lite0', {'blocks.5': 40, 'blocks.11': 112, None: 1280}),
        ('inception-v3', {'Mixed_6a': 288, 'Mixed_7a': 768, None: 2048}),
    ],
)
def test_positions(name, channels):
    """The generator's input follows the cut, the trunk stays."""
    cfg = load_config_file(f'bas_{name}_cub')
    cfg.merge_from_dict(
        {
            'model.backbone.init_cfg': None,
            'model.head.mid_channels': 8,
            'model.head.num_classes': 2,
        }
    )
    runs = list_runs(cfg, 'position')
    assert {
        r.overrides['model.neck.start']: r.overrides['model.head.map_channels']
        for r in runs
    } == channels
    image, logits, sizes = torch.zeros(1, 3, 96, 96), [], []
    for run in runs:
        own = Config(copy.deepcopy(cfg.to_dict()))
        own.merge_from_dict(run.overrides)
        torch.manual_seed(0)
        model = MODELS.build(own.model)
        model.eval()
        with torch.no_grad():
            acts = model.head(model.neck(image))
            maps = model.head.class_maps(acts, torch.tensor([[1]]))
        sizes.append(maps.shape[-1])
        logits.append(acts.feats[-1])
        torch.testing.assert_close(acts.feats[-1], logits[0])
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > sizes[-1]


def test_positions_by_name(config):
    cfg, _ = build(config)
    runs = list_runs(cfg, 'position', ['model.6', 'None'])
    assert overrides(runs) == {
        'before model.6': {
            'model.neck.start': 'model.6',
            'model.head.map_channels': 256,
        },
        'after the last layer': {
            'model.neck.start': None,
            'model.head.map_channels': 1024,
        },
    }
    with pytest.raises(ValueError, match="start='model.99' is not a layer"):
        list_runs(cfg, 'position', ['model.99'])
    cfg.model.neck.pool = 2
    with pytest.raises(ValueError, match='the cut would change the trunk'):
        list_runs(cfg, 'position')


def test_positions_of_an_unknown_trunk(config):
    cfg, _ = build(config)
    cfg.model.backbone = dict(type='ResNet', depth=18)
    with pytest.raises(ValueError, match='No cuts are known for ResNet.*--values'):
        list_runs(cfg, 'position')
    cfg.model.neck.start = None
    runs = list_runs(cfg, 'position', ['layer3'])
    assert runs[0].overrides['model.head.map_channels'] == 128


def test_init_of_the_trunk():
    cfg = load_config_file('bas_efficientnet-lite0_cub')
    assert overrides(list_runs(cfg, 'init')) == {
        'pretrained': {},
        'scratch': {
            'model.backbone.init_cfg': None,
            'model.backbone.frozen_stages': -1,
        },
    }
    cfg.model.backbone.init_cfg = None
    with pytest.raises(ValueError, match='the config has none'):
        list_runs(cfg, 'init')


def test_cam_has_no_generator(tmp_path):
    cfg, _ = build(write_config(tmp_path, 'CAM'))
    with pytest.raises(ValueError, match='is a bas_mm.CAMHead: give a config'):
        list_runs(cfg, 'lambda')


@pytest.mark.parametrize('name', ['runs.yaml', 'runs.json'])
def test_overrides_from_a_file(tmp_path, name):
    path = tmp_path / name
    path.write_text('{"paper": {}, "3": {"a.b": 0}}')
    assert read_overrides(str(path)) == [('paper', {}, None), ('3', {'a.b': 0}, None)]


@pytest.mark.parametrize(
    'text, message',
    [
        ('[1, 2]', 'must map the name of each run to its settings'),
        ('{"a": 3}', 'must map the name of each run to its settings'),
        ('{}', 'must map the name of each run to its settings'),
        ('{"a": ', '--overrides .*runs.json cannot be read: .*line 1 column'),
    ],
)
def test_wrong_overrides(tmp_path, text, message):
    path = tmp_path / 'runs.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_overrides(str(path))
    path = tmp_path / 'runs.yaml'
    path.write_text('a: {b: 1\nc: ]\n')
    with pytest.raises(
        ValueError, match='^--overrides .*runs.yaml cannot be'
    ) as caught:
        read_overrides(str(path))
    assert '\n' not in str(caught.value) and 'line 2' in str(caught.value)
    with pytest.raises(ValueError, match='needs a .yaml or .json file'):
        read_overrides('runs.pkl')
