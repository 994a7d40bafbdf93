import copy
import csv
import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import Evaluator
from mmpretrain.registry import DATASETS, MODELS

from .tiny_wsol import build, call, load_tool, save, write_config

tool = load_tool('analysis_tools/ablate.py')
CONFIGS = tool.TOOLS.parent / 'configs'


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    return write_config(tmp_path_factory.mktemp('ablate'))


def overrides(runs):
    return {run.name: run.overrides for run in runs}


def test_lists_of_runs(config):
    cfg, _ = build(config)
    loss = 'model.head.loss.'
    assert overrides(tool.list_runs(cfg, 'loss')) == {
        'cls+frg+ac+bas': {},
        'cls+frg+ac': {loss + 'lambda_': 0},
        'cls+frg+bas': {loss + 'beta': 0},
        'cls+ac+bas': {loss + 'alpha': 0},
    }
    assert overrides(tool.list_runs(cfg, 'mask')) == {
        m: {loss + 'mask': m} for m in ('feature', 'image')
    }
    assert overrides(tool.list_runs(cfg, 'alpha', ['0', '1.5'])) == {
        f'alpha={a:g}': {loss + 'alpha': a} for a in (0, 0.5, 1.5)
    }
    assert [r.x for r in tool.list_runs(cfg, 'beta')] == [0.5, 1, 1.5, 2, 2.5]
    cfg.model.head.loss.alpha = 0  # VGG16 on CUB: a term that is not there
    assert list(overrides(tool.list_runs(cfg, 'loss'))) == [
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
    cfg = Config.fromfile(CONFIGS / 'bas' / f'bas_{name}_cub.py')
    cfg.merge_from_dict(
        {
            'model.backbone.init_cfg': None,
            'model.head.mid_channels': 8,
            'model.head.num_classes': 2,
        }
    )
    runs = tool.list_runs(cfg, 'position')
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
            feat, trunk = model.extract_feat(image)
            maps = model.head.class_maps(feat, None, torch.tensor([[1]]))
        sizes.append(maps.shape[-1])
        logits.append(trunk)
        torch.testing.assert_close(trunk, logits[0])
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > sizes[-1]


def test_positions_by_name(config):
    cfg, _ = build(config)
    runs = tool.list_runs(cfg, 'position', ['model.6', 'None'])
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
        tool.list_runs(cfg, 'position', ['model.99'])
    cfg.model.neck.pool = 2
    with pytest.raises(ValueError, match='the cut would change the trunk'):
        tool.list_runs(cfg, 'position')


def test_init_of_the_trunk():
    cfg = Config.fromfile(CONFIGS / 'bas' / 'bas_efficientnet-lite0_cub.py')
    assert overrides(tool.list_runs(cfg, 'init')) == {
        'pretrained': {},
        'scratch': {
            'model.backbone.init_cfg': None,
            'model.backbone.frozen_stages': -1,
        },
    }
    cfg.model.backbone.init_cfg = None
    with pytest.raises(ValueError, match='the config has none'):
        tool.list_runs(cfg, 'init')


def test_cam_has_no_generator(tmp_path):
    cfg, _ = build(write_config(tmp_path, 'CAM'))
    with pytest.raises(ValueError, match='is a bas_mm.CAMHead: give a config'):
        tool.list_runs(cfg, 'lambda')


@pytest.mark.parametrize('method', ['CAM', 'BAS'])
@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(map_label='pred'),
        dict(force_label=True),
        dict(force_label=True, map_label='pred'),
    ],
)
def test_all_k_equal_one_test_each(tmp_path_factory, method, options):
    folder = tmp_path_factory.getbasetemp() / 'topk'
    folder.mkdir(exist_ok=True)
    cfg, model = build(write_config(folder, method), **options)
    got = tool.sweep_topk(cfg, model, [1, 2, 3])
    assert model.head.topk == 2  # as before
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    batch = pseudo_collate([dataset[i] for i in range(len(dataset))])
    for k in (1, 2, 3):
        model.head.topk = k
        evaluator = Evaluator(cfg.test_evaluator)
        with torch.no_grad():
            evaluator.process(model.test_step(copy.deepcopy(batch)))
        assert got[k] == evaluator.evaluate(len(dataset))


def test_maps_of_every_k(config, monkeypatch):
    """The maps, not only what is counted of them."""
    cfg, model = build(config, force_label=True)
    seen = {}

    class Keep(Evaluator):
        def process(self, data_samples, data_batch=None):
            seen.setdefault(id(self), []).extend(
                s.pred_map.clone() for s in data_samples
            )
            super().process(data_samples, data_batch)

    monkeypatch.setattr(tool, 'Evaluator', Keep)
    tool.sweep_topk(cfg, model, [1, 2, 3])
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    batch = pseudo_collate([dataset[i] for i in range(len(dataset))])
    for k, maps in zip((1, 2, 3), seen.values()):
        model.head.topk = k
        with torch.no_grad():
            samples = model.test_step(copy.deepcopy(batch))
        torch.testing.assert_close(
            torch.stack(maps), torch.stack([s.pred_map for s in samples])
        )


def test_default_ks():
    assert tool.default_ks(6, 3) == [1, 2, 3, 5, 6]
    assert tool.default_ks(200, 80) == [1, 2, 3, 5, 10, 20, 30, 50, 80, 100, 200]
    assert tool.default_ks(1, 80) == [1]


@pytest.fixture
def tools(monkeypatch):
    """The tools in this process, so that a test is not mostly imports."""
    done = []

    def run(words, **kwargs):
        name = words[1].rsplit('/', 1)[-1]
        done.append([name, *words[3:]])
        module = load_tool(name)
        call(module, *words[2:])
        return 0

    monkeypatch.setattr(tool.subprocess, 'call', run)
    return done


def test_study_is_killed_and_resumed(config, tmp_path, monkeypatch, capsys, tools):
    out = tmp_path / 'study'
    words = [config, '--study', 'loss', '--work-dir', out]
    call(tool, *words, '--dry-run')
    text = capsys.readouterr().out
    assert '4 runs in' in text and 'model.head.loss.lambda_=0' in text
    assert not out.exists()

    table = tmp_path / 'runs.yaml'
    table.write_text('full: {}\nno bas: {model.head.loss.lambda_: 0}\n')
    words = [config, '--overrides', table, '--work-dir', out]
    run, killed = tool.subprocess.call, []

    def kill(command, **kwargs):
        if 'no-bas' in command[2] and command[1].endswith('train.py'):
            # the second run dies after its first epoch
            text = (out / 'no-bas-seed0.py').read_text()
            short = tmp_path / 'no-bas-seed0.py'
            short.write_text(text.replace('max_epochs=2', 'max_epochs=1'))
            run([*command[:2], str(short), *command[3:]])
            killed.append(command)
            raise KeyboardInterrupt
        return run(command, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(tool.subprocess, 'call', kill)
        with pytest.raises(KeyboardInterrupt):
            call(tool, *words)
    assert killed and (out / 'full-seed0.json').exists()
    assert (out / 'no-bas-seed0' / 'epoch_1.pth').exists()
    assert '| full |' in (out / 'table.md').read_text()  # what there is
    capsys.readouterr()
    del tools[:]
    call(tool, *words)
    assert [t[0] for t in tools] == ['train.py', 'test.py']  # the second only
    assert '--resume' in tools[0]
    text = capsys.readouterr().out
    assert 'done     full, seed 0' in text
    assert 'started  no bas, seed 0' in text
    assert not (out / 'no-bas-seed0' / 'epoch_1.pth').exists()

    # what stands in the table is what the runs gave
    markdown = (out / 'table.md').read_text()
    for name, slug in (('full', 'full'), ('no bas', 'no-bas')):
        metrics = json.loads((out / f'{slug}-seed0.json').read_text())
        assert f'| {name} | {metrics["wsol/gt_known"]:.2f} |' in markdown
        saved = Config.fromfile(out / f'{slug}-seed0.py')
        assert saved.randomness.seed == 0
        assert saved.model.head.loss.get('lambda_', 1) == (1 if slug == 'full' else 0)
    assert '--overrides' in markdown
    with open(out / 'table.csv', newline='') as file:
        assert [r['run'] for r in csv.DictReader(file)] == ['full', 'no bas']
    assert cv2.imread(str(out / 'plot.png')).std() > 5

    # killed in its test: nothing is trained again, the figures are the same
    before = (out / 'full-seed0.json').read_text()
    (out / 'full-seed0.json').unlink()
    trained = (out / 'full-seed0' / 'epoch_2.pth').stat().st_mtime_ns
    call(tool, *words)
    assert (out / 'full-seed0.json').read_text() == before
    assert (out / 'full-seed0' / 'epoch_2.pth').stat().st_mtime_ns == trained

    # other settings in the same place are refused
    with pytest.raises(ValueError, match='begun with other settings'):
        call(tool, *words, '--cfg-options', 'model.head.threshold=0.1')
    assert len(tools) == 4


def test_failed_run(config, tmp_path, capsys):
    """The tool in a process of its own; the others go on."""
    table = tmp_path / 'runs.json'
    table.write_text(json.dumps({'wrong': {'model.head.topk': 0}}))
    with pytest.raises(SystemExit, match='1 of 1 runs failed'):
        call(tool, config, '--overrides', table, '--work-dir', tmp_path / 'out')
    text = capsys.readouterr().out
    assert 'failed: train.py ended with code 1' in text
    assert '`model.head.topk` must be at least 1' in text


def test_topk_study(config, tmp_path, capsys, tools):
    checkpoint = save(config, tmp_path / 'a.pth')
    out = tmp_path / 'given'
    call(tool, config, '--study', 'topk', '--checkpoint', checkpoint, '--work-dir', out)
    assert not tools
    rows = (out / 'table.md').read_text().splitlines()[2:5]
    assert [row.split('|')[1].strip() for row in rows] == ['K=1', 'K=2', 'K=3']
    with pytest.raises(ValueError, match=r'K must be 1 to 3.*got \[4\]'):
        call(
            tool,
            config,
            '--study',
            'topk',
            '--checkpoint',
            checkpoint,
            '--work-dir',
            out,
            '--values',
            4,
        )

    out = tmp_path / 'trained'
    call(
        tool,
        config,
        '--study',
        'topk',
        '--seeds',
        0,
        1,
        '--work-dir',
        out,
        '--cfg-options',
        'train_cfg.max_epochs=1',
    )
    assert [t[0] for t in tools] == ['train.py'] * 2
    assert '±' in (out / 'table.md').read_text()
    with open(out / 'table.csv', newline='') as file:
        assert len(list(csv.DictReader(file))) == 6


def test_report(tmp_path):
    table = [
        (
            tool.Run('a', {}, 0),
            [
                {'wsol/gt_known': 50.0, 'wsol/top1_loc': 40.0},
                {'wsol/gt_known': 60.0, 'wsol/top1_loc': 40.0},
            ],
        ),
        (tool.Run('b', {}, 1), [{'wsol/gt_known': 30.0, 'wsol/top1_loc': 10.0}]),
    ]
    text = tool.write_report(table, tmp_path, 'title').splitlines()
    assert text == [
        '| run | gt_known | top1_loc |',
        '|---|---|---|',
        '| a | 55.00 ± 7.07 | 40.00 ± 0.00 |',
        '| b (1 of 2 seeds) | 30.00 | 10.00 |',
    ]
    # other metrics than ours
    other = tool.write_report(
        [(tool.Run('a', {}), [{'accuracy/top1': 1.0, 'curve': [1, 2]}])],
        tmp_path,
        'title',
    )
    assert '| a | 1.00 |' in other


@pytest.mark.parametrize(
    'text, message',
    [
        ('[1, 2]', 'must map the name of each run to its settings'),
        ('{"a": 3}', 'must map the name of each run to its settings'),
        ('{}', 'must map the name of each run to its settings'),
    ],
)
def test_wrong_overrides(tmp_path, text, message):
    path = tmp_path / 'runs.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        tool.read_overrides(str(path))
    with pytest.raises(ValueError, match='needs a .yaml or .json file'):
        tool.read_overrides('runs.pkl')


def test_two_runs_of_one_name(config):
    cfg, _ = build(config)
    with pytest.raises(ValueError, match='same name'):
        tool.make_jobs(cfg, [tool.Run('a b', {}), tool.Run('a/b', {})], [0], 'x')
    with pytest.raises(ValueError, match='two seeds are the same'):
        tool.make_jobs(cfg, [tool.Run('a', {})], [1, 1], 'x')


@pytest.mark.parametrize(
    'words, message',
    [
        (['--study', 'mask', '--values', '1'], '--values is for --study lambda'),
        (['--study', 'loss', '--checkpoint', 'x'], 'other studies train'),
        ([], 'one of the arguments --study --overrides is required'),
    ],
)
def test_wrong_command(config, capsys, words, message):
    with pytest.raises(SystemExit):
        call(tool, config, *words)
    assert message in capsys.readouterr().err


def test_map_of_the_label():
    maps = torch.arange(2 * 3.0).view(2, 3, 1, 1)
    classes = torch.tensor([[2, 0, 1], [1, 2, 0]])
    own = tool.head_maps(maps, classes, torch.tensor([0, 1]))
    assert own.flatten().tolist() == [1, 3]
    np.testing.assert_array_equal(own.shape, (2, 1, 1))
