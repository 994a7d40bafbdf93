"""Trainings in processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Barrier, Lock

import pytest
from mmengine.config import Config

from bas_mm.analysis import jobs
from tests.helpers.commands import ROOT


@pytest.fixture
def job(tmp_path):
    return jobs.make_jobs(['a b'], [3], tmp_path / 'out')['a b'][0]


def finish(job, **metrics):
    job.result.write_text(json.dumps(metrics))


def start(job, checkpoint='epoch_1.pth'):
    job.folder.mkdir(parents=True, exist_ok=True)
    (job.folder / 'last_checkpoint').write_text(f'{checkpoint}\n')


def test_places_and_states(job, tmp_path):
    assert job.name == 'a b, seed 3' and job.state == 'new'
    assert job.config == tmp_path / 'out' / 'a-b-seed3.py'
    start(job)
    assert job.state == 'started' and jobs.last_checkpoint(job) == 'epoch_1.pth'
    finish(job, x=1)
    assert job.state == 'done'
    assert jobs.read_results([job]) == [dict(x=1)]


def test_two_runs_of_one_name():
    with pytest.raises(ValueError, match='same name'):
        jobs.make_jobs(['a b', 'a/b'], [0], 'x')
    with pytest.raises(ValueError, match='same name'):
        jobs.make_jobs(['a', 'a'], [0], 'x')
    with pytest.raises(ValueError, match='two seeds are the same'):
        jobs.make_jobs(['a'], [1, 1], 'x')


def test_configs_are_written_once(job):
    cfg = Config(dict(model=dict(a=1), b=2))
    jobs.write_config(cfg, {'model.a': 5}, 3, job)
    saved = Config.fromfile(job.config)
    assert saved.model.a == 5 and saved.b == 2 and saved.randomness.seed == 3
    assert saved.work_dir == str(job.folder)
    assert cfg.model.a == 1 and 'randomness' not in cfg
    # nothing was trained: other settings take its place
    jobs.write_config(cfg, {'model.a': 6}, 3, job)
    assert Config.fromfile(job.config).model.a == 6
    start(job)
    jobs.write_config(cfg, {'model.a': 6}, 3, job)
    with pytest.raises(ValueError, match='begun with other settings.*--work-dir'):
        jobs.write_config(cfg, {'model.a': 7}, 3, job)
    assert Config.fromfile(job.config).model.a == 6


def test_training_resumes_and_needs_a_checkpoint(job, monkeypatch):
    seen = []
    monkeypatch.setattr(jobs, 'call', lambda *words: seen.append(words))
    with pytest.raises(RuntimeError, match='left no checkpoint.*hooks.checkpoint'):
        jobs.train(job)
    assert seen == [('train', job, '--no-validate')]
    start(job)
    assert jobs.train(job) == 'epoch_1.pth'
    assert seen[1] == ('train', job, '--no-validate', '--resume')


def test_a_failure_stops_no_other(tmp_path, capsys):
    a, b, c = jobs.make_jobs('abc', [0], tmp_path).values()
    finish(a[0], x=1)

    def action(job):
        if job is b[0]:
            raise RuntimeError('no luck')
        finish(job, x=2)

    done = list(jobs.run_jobs([*a, *b, *c], action))
    assert done == [(b[0], 'no luck'), (c[0], '')]
    text = capsys.readouterr().out
    assert '[2/3] b, seed 0\n  failed: no luck\n[3/3] c, seed 0' in text
    assert '[1/3]' not in text
    assert jobs.read_results([*a, *b, *c]) == [dict(x=1), dict(x=2)]


def test_process_that_fails(job):
    job.folder.parent.mkdir(parents=True)
    with pytest.raises(RuntimeError, match='bas-mm train ended with code') as caught:
        jobs.call('train', job)
    log = job.folder.with_name('a-b-seed3.log')
    assert str(log) in str(caught.value)
    assert 'There is no config file' in str(caught.value)
    assert 'There is no config file' in log.read_text()


def test_several_at_once(tmp_path, capsys):
    groups = jobs.make_jobs('abcde', [0], tmp_path).values()
    a, b, c, d, e = (job for (job,) in groups)
    finish(a, x=1)
    both, lock, running, most, seen = Barrier(2), Lock(), set(), [], {}

    def action(job):
        with lock:
            running.add(job.name)
            most.append(len(running))
            # no place is taken twice
            assert job.env not in [seen[name] for name in running if name in seen]
            seen[job.name] = job.env
        if job.name in (b.name, c.name):
            both.wait(30)  # ends only if they run at the same time
        with lock:
            running.discard(job.name)
        if job.name == c.name:
            raise RuntimeError('no luck')
        finish(job, x=2)

    places = jobs.share_machine(['3', '5'], 8)
    assert places == [
        dict(OMP_NUM_THREADS='4', CUDA_VISIBLE_DEVICES=device) for device in '35'
    ]
    done = dict(jobs.run_jobs([a, b, c, d, e], action, places))
    assert done == {b: '', c: 'no luck', d: '', e: ''}
    assert max(most) == 2 and a.name not in seen
    assert all(dict(one) in places for one in seen.values())
    assert '  c, seed 0 failed: no luck' in capsys.readouterr().out
    assert c.state == 'new' and e.state == 'done'


def test_what_stops_all_stops_all(tmp_path):
    """An error that is no job's own: what has not begun does not begin."""
    todo = [job for (job,) in jobs.make_jobs('abcdef', [0], tmp_path).values()]
    seen = []

    def action(job):
        seen.append(job.name)
        if job.name == todo[0].name:
            raise KeyError('a mistake')
        time.sleep(0.2)

    with pytest.raises(KeyError, match='a mistake'):
        list(jobs.run_jobs(todo, action, [dict(A='1'), dict(A='2')]))
    assert len(seen) < len(todo)


def test_shares_of_the_machine():
    assert jobs.share_machine([], 1) == [{}]
    assert jobs.share_machine([], 2, 3) == [dict(OMP_NUM_THREADS='1')] * 3
    two = jobs.share_machine(['0', '1'], 4, 4)
    assert [one['CUDA_VISIBLE_DEVICES'] for one in two] == ['0', '1', '0', '1']
    with pytest.raises(ValueError, match='--jobs must be at least 1, got 0'):
        jobs.share_machine([], 2, 0)


def test_processes_get_their_place(job, monkeypatch):
    seen = []

    def run(words, env, **kwargs):
        seen.append((words[3], words[5:], env['OMP_NUM_THREADS']))
        if words[3] == 'test':
            path = words[words.index('--out') + 1]
            Path(path).write_text('{"x": 1}')
        else:
            start(job)
        return 0

    monkeypatch.setattr(jobs, 'run_program', run)
    job.folder.parent.mkdir(parents=True)
    jobs.train_and_test(job._replace(env=(('OMP_NUM_THREADS', '7'),)), '--dump', 'd')
    assert seen[0] == ('train', ['--no-validate'], '7')
    assert seen[1][1][:1] == ['epoch_1.pth'] and seen[1][1][-2:] == ['--dump', 'd']
    assert seen[1][2] == '7'
    assert jobs.read_results([job]) == [dict(x=1)]


PROGRAM = """
import pathlib, signal, sys, time
def save(number, frame):
    pathlib.Path(sys.argv[1] + '.saved').touch()
    sys.exit(128 + number)
signal.signal(signal.SIGTERM, save)
pathlib.Path(sys.argv[1]).touch()
time.sleep(60)
"""
STUDY = """
import sys
from pathlib import Path
from bas_mm.analysis import jobs
def action(job):
    program = Path('program.py').read_text()
    jobs.run_program([sys.executable, '-c', program, str(job.folder)])
places = [{}] * int(sys.argv[1])
todo = [row[0] for row in jobs.make_jobs('abc', [0], 'out').values()]
list(jobs.run_jobs(todo, action, places))
"""


@pytest.mark.skipif(sys.platform == 'win32', reason='Windows has no SIGTERM')
@pytest.mark.parametrize('places', [1, 2])
def test_sigterm_reaches_what_runs(tmp_path, places):
    (tmp_path / 'program.py').write_text(PROGRAM)
    out = tmp_path / 'out'
    out.mkdir()
    words = [sys.executable, '-c', STUDY, str(places)]
    with subprocess.Popen(
        words, cwd=tmp_path, env={**os.environ, 'PYTHONPATH': str(ROOT)}
    ) as study:
        while len(list(out.iterdir())) < places:
            assert study.poll() is None
            time.sleep(0.05)
        study.terminate()
    assert study.returncode == 128 + signal.SIGTERM
    names = ['a-seed0', 'b-seed0'][:places]
    found = sorted(path.name for path in out.iterdir())
    assert found == sorted([*names, *(f'{name}.saved' for name in names)])
