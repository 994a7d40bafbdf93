"""``bas-mm ablate``."""

import csv
import json
import shlex

import cv2
import pytest
from mmengine.config import Config

from bas_mm.analysis import jobs
from tests.helpers.commands import call
from tests.helpers.tiny import save, write_config


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    return write_config(tmp_path_factory.mktemp('ablate'))


def read_table(folder):
    """The rows of ``table.md``: from names to cells."""
    lines = (folder / 'table.md').read_text().splitlines()
    rows = [
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in lines[2:]
        if line.startswith('|')
    ]
    return {name: cells for name, *cells in rows}


def test_study_is_killed_and_resumed(config, tmp_path, monkeypatch, capsys, done):
    out = tmp_path / 'study'
    words = [config, '--study', 'loss', '--work-dir', out]
    call('ablate', *words, '--dry-run')
    text = capsys.readouterr().out
    assert '4 runs in' in text and 'model.head.loss.lambda_=0' in text
    assert not out.exists()

    file = tmp_path / 'runs.yaml'
    file.write_text('full: {}\nno bas: {model.head.loss.lambda_: 0}\n')
    words = [config, '--overrides', file, '--work-dir', out]
    run, killed = jobs.run_program, []

    def kill(command, **kwargs):
        if 'no-bas' in command[4] and command[3] == 'train':
            # the second run dies after its first epoch
            text = (out / 'no-bas-seed0.py').read_text()
            short = tmp_path / 'no-bas-seed0.py'
            short.write_text(
                text.replace('max_keep_ckpts=1', 'max_keep_ckpts=2, interval=1')
            )
            run([*command[:4], str(short), *command[5:]])
            folder = out / 'no-bas-seed0'
            (folder / 'epoch_2.pth').unlink()
            (folder / 'last_checkpoint').write_text(str(folder / 'epoch_1.pth'))
            killed.append(command)
            raise KeyboardInterrupt
        return run(command, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(jobs, 'run_program', kill)
        with pytest.raises(KeyboardInterrupt):
            call('ablate', *words)
    assert killed and (out / 'full-seed0.json').exists()
    assert (out / 'no-bas-seed0' / 'epoch_1.pth').exists()
    assert 'full' in read_table(out)  # what there is
    capsys.readouterr()
    del done[:]
    call('ablate', *words)
    assert [words[0] for words in done] == ['train', 'test']  # the second only
    assert '--resume' in done[0]
    text = capsys.readouterr().out
    assert 'done     full, seed 0' in text
    assert 'started  no bas, seed 0' in text
    assert not (out / 'no-bas-seed0' / 'epoch_1.pth').exists()

    # what stands in the table is what the runs gave
    table = read_table(out)
    for name, slug in (('full', 'full'), ('no bas', 'no-bas')):
        metrics = json.loads((out / f'{slug}-seed0.json').read_text())
        assert table[name][0] == f'{metrics["wsol/gt_known"]:.2f}'
        saved = Config.fromfile(out / f'{slug}-seed0.py')
        assert saved.randomness.seed == 0
        assert saved.model.head.loss.get('lambda_', 1) == (1 if slug == 'full' else 0)
    text = (out / 'table.md').read_text()
    assert text.endswith(f'`{shlex.join(map(str, ["bas-mm", "ablate", *words]))}`\n')
    with open(out / 'table.csv', newline='') as file:
        assert [r['run'] for r in csv.DictReader(file)] == ['full', 'no bas']
    assert cv2.imread(str(out / 'plot.png')).std() > 5

    # killed in its test: nothing is trained again, the figures are the same
    before = (out / 'full-seed0.json').read_text()
    (out / 'full-seed0.json').unlink()
    trained = (out / 'full-seed0' / 'epoch_2.pth').stat().st_mtime_ns
    call('ablate', *words)
    assert (out / 'full-seed0.json').read_text() == before
    assert (out / 'full-seed0' / 'epoch_2.pth').stat().st_mtime_ns == trained

    # other settings in the same place are refused
    with pytest.raises(SystemExit, match='begun with other settings'):
        call('ablate', *words, '--cfg-options', 'model.head.threshold=0.1')
    assert len(done) == 4


def test_failed_run(config, tmp_path, capsys):
    """The command in a process of its own; the others go on."""
    table = tmp_path / 'runs.json'
    table.write_text(json.dumps({'wrong': {'model.head.topk': 0}}))
    with pytest.raises(SystemExit, match='1 of 1 runs failed'):
        call('ablate', config, '--overrides', table, '--work-dir', tmp_path / 'out')
    text = capsys.readouterr().out
    assert 'failed: bas-mm train ended with code 1' in text
    assert '(model.head.topk) must be at least 1' in text


def test_topk_study(config, tmp_path, capsys, done):
    checkpoint = save(config, tmp_path / 'a.pth')
    out = tmp_path / 'given'
    call(
        'ablate',
        config,
        '--study',
        'topk',
        '--checkpoint',
        checkpoint,
        '--work-dir',
        out,
    )
    assert not done
    assert list(read_table(out)) == ['K=1', 'K=2', 'K=3']
    with pytest.raises(SystemExit, match=r'K must be 1 to 3.*got \[4\]'):
        call(
            'ablate',
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
    words = [config, '--study', 'topk', '--work-dir', out]
    words += ['--cfg-options', 'train_cfg.max_epochs=1', '--seeds']
    call('ablate', *words, 0, 1)
    assert [words[0] for words in done] == ['train'] * 2
    assert '±' in (out / 'table.md').read_text()
    with open(out / 'table.csv', newline='') as file:
        before = list(csv.DictReader(file))
    assert len(before) == 6

    # trained once; the test is done anew, with other values of K too
    text = capsys.readouterr().out
    assert '2 runs in' in text and 'new      config, seed 0' in text
    call('ablate', *words, 0, '--values', 2)
    text = capsys.readouterr().out
    assert '1 run in' in text and 'done     config, seed 0' in text
    assert len(done) == 2
    with open(out / 'table.csv', newline='') as file:
        assert list(csv.DictReader(file)) == [before[2]]
    (out / 'config-seed0.json').unlink()  # killed before it was done
    call('ablate', *words, 0, '--values', 2)
    assert len(done) == 3 and '--resume' in done[-1]
    assert list(read_table(out)) == ['K=2']


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
        call('ablate', config, *words)
    assert message in capsys.readouterr().err
