"""What is made before a training."""

import threading
from pathlib import Path

import pytest
from mmengine.config import Config

from bas_mm.analysis import stages
from bas_mm.analysis.jobs import make_jobs
from bas_mm.analysis.stages import (
    Planner,
    declared,
    describe_stages,
    given_weights,
    make_stages,
    settings_of,
    train_once,
    write_stages,
)


def stage(key, command, config=None):
    return dict(key=key, command=command, **({'config': config} if config else {}))


class Study:
    """Configs in a folder, of which some are trained anyway."""

    def __init__(self, folder, configs, *trained):
        self.folder, self.configs = folder, {}
        for name, before in configs.items():
            path = folder / f'{name}.py'
            path.write_text('')
            self.configs[str(path)] = Config(dict(name=name, stages=before))
        jobs = make_jobs(trained, [3], folder / 'out')
        self.jobs = {self.path(name): {3: group[0]} for name, group in jobs.items()}

    def path(self, name):
        return str(self.folder / f'{name}.py')

    def plan(self, name):
        planner = Planner(self.jobs, self.configs.__getitem__, self.folder / 'out')
        job = self.jobs[self.path(name)][3]
        return planner.plan(self.path(name), 3, job)


@pytest.fixture
def calls(monkeypatch):
    """Commands leave what they would make, and are listed."""
    seen = []

    def call(command, job, *options):
        seen.append((command, job.name, job.env, *options))
        if command == 'train':
            job.folder.mkdir(parents=True, exist_ok=True)
            (job.folder / 'epoch_1.pth').write_text(job.name)
            path = str(job.folder / 'epoch_1.pth')
            (job.folder / 'last_checkpoint').write_text(path)
            return
        out = Path(options[options.index('--out') + 1])
        if command == 'pseudo-masks':
            out.mkdir()
            (out / 'a.png').write_text('mask')
        else:
            out.write_text(command)

    monkeypatch.setattr(stages, 'call', call)
    monkeypatch.setattr('bas_mm.analysis.jobs.call', call)
    return seen


def test_declared():
    assert declared(Config({})) == []
    with pytest.raises(ValueError, match="with a command of train, .*; got 'ddt'"):
        declared(Config(dict(stages=['ddt'])))
    with pytest.raises(ValueError, match="with a command of train, .*'localize'"):
        declared(Config(dict(stages=[stage('a', 'localize')])))
    with pytest.raises(ValueError, match='list of dict.*more'):
        declared(Config(dict(stages=[dict(stage('a', 'ddt'), more=1)])))
    with pytest.raises(ValueError, match='checkpoint is what is tested, .* not by ddt'):
        declared(Config(dict(stages=[stage('checkpoint', 'ddt')])))
    with pytest.raises(ValueError, match='export needs a config that is trained first'):
        declared(Config(dict(stages=[stage('a', 'export')])))


def test_boxes_without_a_training(tmp_path, calls):
    study = Study(tmp_path, dict(psol=[stage('pseudo_file', 'ddt')]), 'psol')
    plan = study.plan('psol')
    out = tmp_path / 'out' / 'psol-seed3-stage0.json'
    assert settings_of(plan) == {'pseudo_file': str(out)}
    assert describe_stages('psol', plan)[0].startswith('Before psol: ddt. ')
    assert not out.parent.exists()
    out.parent.mkdir()
    make_stages(plan, (('A', '1'),))
    half = str(out.with_name(f'tmp-{out.name}'))
    split = ('--split', 'train', '--out', half)
    assert calls == [('ddt', 'psol, seed 3', (('A', '1'),), *split)]
    assert out.read_text() == 'ddt' and not Path(half).exists()
    make_stages(plan)  # is there
    assert len(calls) == 1


def test_stages_of_stages_and_what_is_trained_anyway(tmp_path, calls, monkeypatch):
    """A detector learns from boxes of a segmenter, that from masks of a CAM."""
    study = Study(
        tmp_path,
        dict(
            psol=[stage('pseudo_file', 'export', str(tmp_path / 'spol.py'))],
            spol=[stage('pseudo_file', 'pseudo-masks', str(tmp_path / 'cam.py'))],
            cam=[],
            gcnet=[stage('model.checkpoint', 'train', str(tmp_path / 'cam.py'))],
        ),
        'psol',
        'cam',
        'gcnet',
    )
    out = tmp_path / 'out'
    plan = study.plan('psol')
    assert [one.job.name for one in plan] == ['for-spol, seed 3']
    assert plan[0].cfg.name == 'spol'
    (masks,) = plan[0].before
    assert masks.job == study.jobs[study.path('cam')][3] and masks.cfg is None
    assert settings_of(plan[0].before) == {
        'pseudo_file': str(out / 'for-spol-seed3-stage0-masks')
    }
    assert 'psol: export of spol. ' in describe_stages('psol', plan)[0]

    written = []
    monkeypatch.setattr(stages, 'write_config', lambda *words: written.append(words))
    write_stages(plan, 3)
    assert written == [(plan[0].cfg, settings_of(plan[0].before), 3, plan[0].job)]

    out.mkdir()
    make_stages(plan)
    done = [(command, name) for command, name, *_ in calls]
    assert done == [
        ('train', 'cam, seed 3'),
        ('pseudo-masks', 'cam, seed 3'),
        ('train', 'for-spol, seed 3'),
        ('export', 'for-spol, seed 3'),
    ]
    assert (out / 'for-spol-seed3-stage0-masks' / 'a.png').exists()
    assert (out / 'psol-seed3-stage0.json').read_text() == 'export'

    # CAM is trained, and tested meanwhile: its weights are taken as they are
    (weights,) = study.plan('gcnet')
    weights.job.result.write_text('{}')
    make_stages([weights])
    assert len(calls) == 4
    assert weights.output == out / 'cam-seed3.pth'
    assert weights.output.read_text() == 'cam, seed 3'


def test_weights_that_are_tested_as_they_are(tmp_path, calls):
    before = [stage('checkpoint', 'train', str(tmp_path / 'bas.py'))]
    study = Study(tmp_path, dict(scg=before, bas=[]), 'scg')
    plan = study.plan('scg')
    assert settings_of(plan) == {}
    assert given_weights(plan) == tmp_path / 'out' / 'for-bas-seed3.pth'
    assert describe_stages('scg', plan) == [
        'scg is not trained, but tested with the weights of bas.'
    ]
    assert given_weights([]) is None


def test_what_a_kill_left_is_made_anew(tmp_path, calls):
    configs = dict(
        spol=[stage('pseudo_file', 'pseudo-masks', str(tmp_path / 'cam.py'))], cam=[]
    )
    study = Study(tmp_path, configs, 'spol', 'cam')
    plan = study.plan('spol')
    half = tmp_path / 'out' / 'tmp-spol-seed3-stage0-masks'
    half.mkdir(parents=True)
    (half / 'torn.png').write_text('')
    make_stages(plan)
    assert [path.name for path in plan[0].output.iterdir()] == ['a.png']


def test_a_circle_is_refused(tmp_path):
    configs = dict(
        a=[stage('x', 'train', str(tmp_path / 'b.py'))],
        b=[stage('x', 'export', str(tmp_path / 'a.py'))],
    )
    with pytest.raises(ValueError, match='`stages` of .*b.py lead back to .*a.py'):
        Study(tmp_path, configs, 'a').plan('a')


def test_two_methods_train_a_stage_once(tmp_path, monkeypatch):
    """Both need it at the same time: one trains, the other waits."""
    (job,) = make_jobs(['cam'], [0], tmp_path)['cam']
    running, most = [], []

    def train(job):
        running.append(job)
        most.append(len(running))
        threading.Event().wait(0.05)
        running.pop()
        return 'epoch_1.pth'

    monkeypatch.setattr(stages, 'train', train)
    threads = [threading.Thread(target=train_once, args=(job,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1]
