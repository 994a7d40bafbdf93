"""Trainings in processes of their own."""

import json

import pytest
from mmengine.config import Config

from bas_mm.analysis import jobs


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
