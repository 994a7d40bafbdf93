"""``bas-mm compare-methods``."""

import csv
import json
import shlex

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from bas_mm.analysis import jobs
from bas_mm.analysis.report import build_report
from bas_mm.analysis.side_by_side import draw_run, make_sheet
from bas_mm.evaluation import MapDump
from bas_mm.utils.configs import read_config
from tests.helpers.commands import call
from tests.helpers.report import Reader
from tests.helpers.tiny import write_config

SHORT = ['--jobs', 1, '--bootstrap', 30, '--steps', 1, '--pictures', 3]


@pytest.fixture(scope='module')
def configs(tmp_path_factory):
    folder = tmp_path_factory.mktemp('methods')
    paths = []
    for method in ('CAM', 'BAS'):
        path = write_config(folder, method)
        # as many classes as another data set has
        path.write_text(
            path.read_text().replace('num_classes=3, in_', 'num_classes=200, in_')
        )
        paths.append(path)
    return paths


STAGES = """
_base_ = {base!r}
stages = [dict(key={key!r}, command={command!r}, config={config!r})]
model = dict(
    _delete_=True,
    type='bas_mm.TwoNetworks',
    learn={learn!r},
    localizer=dict(
        type='bas_mm.WSOLClassifier',
        backbone=_base_.model.backbone,
        neck=_base_.model.neck,
        head=dict(type='bas_mm.{head}', in_channels=1024, map_size=16)),
    classifier=dict(_base_.model, init_cfg=dict(type='Pretrained', checkpoint='')))
"""
BOXES = """
pseudo_file = ''
train_dataloader = dict(dataset=dict(pipeline=[
    dict(type='bas_mm.LoadImageFromFile'),
    dict(type='bas_mm.LoadPseudoLabels', file=pseudo_file),
    dict(type='bas_mm.PseudoResizedCrop', scale=64),
    dict(type='bas_mm.PackLocInputs', algorithm_keys=('pseudo_bbox',))]))
"""


@pytest.mark.slow
def test_methods_of_two_stages(configs, tmp_path, done, capsys):
    """Each gets what it learns from before: a trained CAM, boxes of DDT."""
    cam = str(configs[0])
    checkpoint = 'model.classifier.init_cfg.checkpoint'
    ellipse = STAGES.format(
        base=cam, key=checkpoint, command='train', config=cam, learn='localizer',
        head='GCNetHead',
    )  # fmt: skip
    boxes = STAGES.format(
        base=cam, key='pseudo_file', command='ddt', config=None,
        learn=('localizer', 'classifier'), head='BoxHead',
    ).replace(', init_cfg=dict(type=\'Pretrained\', checkpoint=\'\')', '')  # fmt: skip
    (tmp_path / 'gcnet.py').write_text(ellipse)
    (tmp_path / 'psol.py').write_text(boxes + BOXES)
    out = tmp_path / 'study'
    weights = str(out / 'cam-seed0.pth')
    (tmp_path / 'flip.py').write_text(
        f'_base_ = {cam!r}\n'
        f"stages = [dict(key='checkpoint', command='train', config={cam!r})]\n"
        "model = dict(refiner=dict(type='bas_mm.FlipScaleRefiner'))\n"
    )
    (tmp_path / 'lost.py').write_text(
        f'_base_ = {cam!r}\n'
        "model = dict(type='bas_mm.WSOLClassifier', head=dict(_delete_=True, "
        "type='bas_mm.LOSTHead', num_classes=3, feat=-1, center=True), backbone=dict("
        f"init_cfg=dict(type='Pretrained', checkpoint={weights!r}, "
        "prefix='backbone.')))\n"
    )
    names = ('psol', 'gcnet', 'flip', 'lost')
    words = [*(tmp_path / f'{name}.py' for name in names), cam, '--work-dir', out]
    call('compare-methods', *words, *SHORT)
    assert [words[0] for words in done] == [
        'ddt', 'train', 'test',  # psol
        'train', 'train', 'test',  # cam, gcnet
        'calibrate', 'test',  # flip
        'test',  # lost
        'train', 'test',  # cam
    ]  # fmt: skip
    assert 'failed' not in capsys.readouterr().out
    assert list(read_table(out))[:5] == [*names, 'cam']
    text = (out / 'table.md').read_text()
    assert 'Before psol: ddt. ' in text and 'Before gcnet: train of cam. ' in text
    assert 'flip is not trained, but tested with the weights of cam.' in text
    # calibrated anew, on the maps that it tests
    found = [
        MapDump(out / f'{name}-seed0-auto.npz').info['calibration']
        for name in ('flip', 'cam')
    ]
    assert found[0] != found[1]
    assert cv2.imread(str(out / 'pictures.png')).shape[0] > 5 * 64
    judge = Config.fromfile(out / 'gcnet-seed0.py').model.classifier
    assert judge.init_cfg.checkpoint == str(out / 'cam-seed0.pth')
    weights = torch.load(out / 'cam-seed0.pth', weights_only=False)['state_dict']
    kept = torch.load(out / 'gcnet-seed0' / 'epoch_2.pth', weights_only=False)
    name = 'head.classifier.0.weight'
    assert torch.equal(kept['state_dict'][f'classifier.{name}'], weights[name])
    del done[:]
    call('compare-methods', *words, *SHORT)
    assert not done


def read_table(folder):
    """The rows of ``table.md``: from names to columns."""
    lines = (folder / 'table.md').read_text().splitlines()
    lines = [line for line in lines if line.startswith('|')]
    header, _, *rows = (
        [cell.strip() for cell in line.strip('|').split('|')] for line in lines
    )
    return {row[0]: dict(zip(header, row)) for row in rows}


def test_methods_are_killed_and_resumed(configs, tmp_path, monkeypatch, capsys, done):
    out = tmp_path / 'study'
    words = [*configs, '--work-dir', out, *SHORT]
    call('compare-methods', *words, '--dry-run')
    text = capsys.readouterr().out
    assert '2 runs in' in text and 'new      bas, seed 0' in text
    assert not out.exists()

    run, killed = jobs.run_program, []

    def kill(command, **kwargs):
        run(command, **kwargs)
        if 'bas-seed0' in command[4] and command[3] == 'train':
            killed.append(command)
            raise KeyboardInterrupt  # trained, not tested
        return 0

    with monkeypatch.context() as patch:
        patch.setattr(jobs, 'run_program', kill)
        with pytest.raises(KeyboardInterrupt):
            call('compare-methods', *words)
    assert killed and list(read_table(out)) == ['cam', 'whole view', 'centered box']
    assert not (out / 'report.html').exists()
    trained = (out / 'bas-seed0' / 'epoch_2.pth').stat().st_mtime_ns
    capsys.readouterr()
    del done[:]
    call('compare-methods', *words)
    assert [words[0] for words in done] == ['train', 'test']  # of the second
    assert '--resume' in done[0]
    assert (out / 'bas-seed0' / 'epoch_2.pth').stat().st_mtime_ns == trained
    text = capsys.readouterr().out
    assert 'done     cam, seed 0' in text and 'started  bas, seed 0' in text

    check_numbers(out)
    check_files(out)
    text = (out / 'table.md').read_text()
    assert text.endswith(
        f'`{shlex.join(map(str, ["bas-mm", "compare-methods", *words]))}`\n'
    )
    assert 'not calibrated' not in text

    # all is done: nothing is run, the tables are the same
    del done[:]
    call('compare-methods', *words)
    assert not done and (out / 'table.md').read_text() == text

    # another threshold: the test alone is done again
    call('compare-methods', *words, '--threshold', 0.6)
    assert [words[0] for words in done] == ['train', 'test'] * 2
    assert (out / 'bas-seed0' / 'epoch_2.pth').stat().st_mtime_ns == trained
    assert read_table(out)['cam']['threshold'] == '0.60'
    assert MapDump(out / 'cam-seed0-0.6.npz').info['threshold'] == 0.6

    # other settings in the same place are refused
    with pytest.raises(SystemExit, match='begun with other settings'):
        call('compare-methods', *words, '--cfg-options', 'train_cfg.max_epochs=1')


def check_numbers(out):
    """The figures are those of the test, and those of the report."""
    table = read_table(out)
    assert list(table) == ['cam', 'bas', 'whole view', 'centered box']
    names = {
        'GT-known Loc': 'wsol/gt_known',
        'at IoU 0.7': 'wsol/gt_known_iou70',
        'Top-1 Loc': 'wsol/top1_loc',
        'Top-1 cls': 'wsol/top1_cls',
    }
    found = json.loads((out / 'table.json').read_text())['methods']
    dumps = [str(out / f'{name}-seed0-auto.npz') for name in ('cam', 'bas')]
    page = Reader(build_report(dumps, ['cam', 'bas'], 30, 0, 0)[0].html()).words
    for name, method in zip(('cam', 'bas'), found):
        metrics = json.loads((out / f'{name}-seed0-auto.json').read_text())
        for column, key in names.items():
            assert table[name][column] == f'{metrics[key]:.1f}'
            assert method['mean'][key] == pytest.approx(metrics[key])
        threshold = MapDump(out / f'{name}-seed0-auto.npz').info['threshold']
        assert table[name]['threshold'] == f'{threshold:.2f}'  # of the calibration
        assert method['summaries']['0']['train']['seed'] == 0
        for key in ('wsol/pxap', 'wsol/peak_iou', 'wsol/max_box_acc_v2'):
            assert f'{method["mean"][key]:.2f}' in page
    assert (
        table['whole view']['GT-known Loc'] == f'{metrics["wsol/gt_known_whole"]:.1f}'
    )
    assert table['cam']['step / cam'] == table['cam']['memory / cam'] == '1.00'
    # the paired interval is that of the report
    assert table['bas']['less cam'] in page and '[' in table['bas']['less cam']


def check_files(out):
    """What is written beside the table."""
    with open(out / 'table.csv', newline='') as file:
        assert [r['run'] for r in csv.DictReader(file)] == ['cam', 'bas']
    assert cv2.imread(str(out / 'plot.png')).std() > 5
    rows = []
    for name in ('cam', 'bas'):
        options = {'model.head.threshold': 'auto'}
        cfg = read_config(str(out / f'{name}-seed0.py'), cfg_options=options)
        rows.append(draw_run(cfg, str(out / f'{name}-seed0' / 'epoch_2.pth'), 3)[0])
    sheet = cv2.imread(str(out / 'pictures.png'))[..., ::-1].astype(int)
    np.testing.assert_allclose(sheet, make_sheet(rows, ['cam', 'bas']), atol=3)
    page = Reader((out / 'report.html').read_text())
    assert 'Methods: cam, bas' in page.words
    assert (out / 'report_files' / 'methods.jpg').is_file()


def test_a_failed_run_stops_no_other(configs, tmp_path, monkeypatch, capsys, done):
    run = jobs.run_program

    def fail(command, **kwargs):
        return 3 if 'CAM-seed1' in command[4] else run(command, **kwargs)

    out = tmp_path / 'out'
    words = [*configs, '--names', 'CAM', 'BAS', '--seeds', 1, '--work-dir', out]
    words += ['--jobs', 1, '--bootstrap', 0, '--steps', 0, '--pictures', 0]
    words += ['--cfg-options', 'train_cfg.max_epochs=1']
    with monkeypatch.context() as patch:
        patch.setattr(jobs, 'run_program', fail)
        with pytest.raises(SystemExit, match='1 of 2 runs failed'):
            call('compare-methods', *words)
    assert 'failed: bas-mm train ended with code 3' in capsys.readouterr().out
    assert list(read_table(out)) == ['BAS', 'whole view', 'centered box']
    text = (out / 'table.md').read_text()
    assert '- CAM, seed 1 failed: bas-mm train ended with code 3.' in text
    assert (out / 'report.html').exists() and not (out / 'pictures.png').exists()
    assert 'step /' not in text and 'less CAM' not in text
    del done[:]
    call('compare-methods', *words)
    assert [words[0] for words in done] == ['train', 'test']
    table = read_table(out)
    assert list(table)[:2] == ['CAM', 'BAS'] and '[' not in table['BAS']['less CAM']
    assert ' failed: ' not in (out / 'table.md').read_text()


def test_costs_alone(configs, tmp_path, capsys, done):
    out = tmp_path / 'out'
    (tmp_path / 'lost.py').write_text(
        f'_base_ = {str(configs[0])!r}\noptim_wrapper = None'
    )
    words = [*configs, tmp_path / 'lost.py', '--work-dir', out, '--steps', 1]
    call('compare-methods', *words, '--cost-only')
    assert not done and {path.name for path in out.iterdir()} == {
        'costs.json',
        'costs.md',
    }
    text = (out / 'costs.md').read_text()
    assert '- The cost of lost was not measured: ' in text
    assert text.endswith('--cost-only`\n') and 'step / cam' in text
    printed = capsys.readouterr().out
    assert 'lost was not measured: The config trains nothing.' in printed
    assert f'The table is in {out / "costs.md"}' in printed
    table = [line.split('|') for line in text.splitlines() if line.startswith('|')]
    cam, bas = table[2:]
    kept = json.loads((out / 'costs.json').read_text())
    assert cam[1].strip() == 'cam' and cam[3].strip() == cam[4].strip() == '1.00'
    assert float(bas[2].split()[0]) >= float(cam[2].split()[0])
    assert float(bas[5]) == round(kept['bas']['costs'][0][2])


@pytest.mark.parametrize(
    'words, message',
    [
        (['--cost-only', '--steps', 0], '--steps must be at least 1, got 0'),
        (['--names', 'x'], '--names needs one name for each of the 2 configs, got 1'),
        (['--steps', -1], '--steps must be at least 0, got -1'),
        (['--against', 'x'], '--against x: there is no such method, only cam, bas'),
        (['--jobs', 0], '--jobs must be at least 1, got 0'),
        (['--threshold', 2], '`--threshold` must be between 0 and 1'),
        (['--seeds', 1, 1], 'two seeds are the same'),
        (['--names', 'x', 'x'], 'Two runs have the same name'),
    ],
)
def test_wrong_command(configs, tmp_path, capsys, words, message):
    with pytest.raises(SystemExit) as caught:
        call('compare-methods', *configs, '--work-dir', tmp_path / 'x', *words)
    assert message in capsys.readouterr().err + str(caught.value)
    assert not (tmp_path / 'x').exists()


def test_work_dir_of_its_own(configs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = []
    for path in configs:
        names.append(tmp_path / f'{path.stem}_small_toy.py')
        names[-1].write_text(f'_base_ = {str(path)!r}')
    call('compare-methods', *names, '--dry-run', '--jobs', 9)
    text = capsys.readouterr().out
    assert 'work_dirs/compare_methods/small_toy, 2 at once' in text
    assert '  new      cam, seed 0\n  new      bas, seed 0' in text
    assert not (tmp_path / 'work_dirs').exists()
