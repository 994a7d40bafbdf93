"""Trainings that are stopped anywhere end as those that are not.

More moments: ``python -m tests.helpers.kills --moments 20``.
"""

import os
import signal

import pytest
import torch

from bas_mm.engine.resume import list_checkpoints
from tests.helpers.kills import (
    assert_equal,
    end,
    kill,
    read_logs,
    read_text,
    start,
    wait_for,
    write_training,
)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('kills')
    write_training(folder)
    assert end(start(folder, '--work-dir', 'whole')) == [0]
    return folder


def stop(folder, work_dir, lines, number=None, processes=1):
    """Stop a training after lines of progress; by default kill it."""
    started = start(folder, '--work-dir', work_dir, processes=processes)
    wait_for(folder / work_dir, started, lines)
    if number is None:
        return kill(started)
    os.kill(started[-1].pid, number)  # one of them is enough
    return end(started)


def go_on(folder, work_dir, *words, processes=1):
    words = ('--work-dir', work_dir, '--resume', *words)
    return end(start(folder, *words, processes=processes))


@pytest.mark.parametrize('lines', [6, 11, 19])  # in a validation, in two epochs
def test_killed(folder, lines):
    assert stop(folder, f'killed{lines}', lines) == [-signal.SIGKILL]
    assert go_on(folder, f'killed{lines}') == [0]
    assert_equal(folder, 'whole', f'killed{lines}')


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_stopped_in_mid_epoch(folder, number):
    name = f'stopped{int(number)}'
    assert stop(folder, name, 10, number) == [128 + number]
    (path, *_) = list_checkpoints(folder / name)
    said = read_text(folder / name).splitlines()[-1]
    assert f'Stopped by {signal.Signals(number).name}' in said
    assert str(path.name) in said and '--resume' in said
    steps = torch.load(path, weights_only=False)['meta']['iter']
    logged = max(step for train, step in read_logs(folder / name) if train)
    assert 0 < steps == logged < 15
    assert go_on(folder, name) == [0]
    assert_equal(folder, 'whole', name)
    assert not list((folder / name).glob('*_step_*'))  # outdated


def test_two_processes(folder):
    assert end(start(folder, '--work-dir', 'pair', processes=2)) == [0, 0]
    codes = stop(folder, 'pair-stopped', 5, signal.SIGTERM, processes=2)
    assert codes == [143, 143]
    assert go_on(folder, 'pair-stopped', processes=2) == [0, 0]
    assert_equal(folder, 'pair', 'pair-stopped')
