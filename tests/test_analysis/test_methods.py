"""Methods side by side: what is run of each."""

import pytest
from mmengine.config import Config

from bas_mm.analysis import methods
from bas_mm.analysis.methods import (
    Method,
    choose_references,
    compare_budgets,
    cut_settings,
    describe_budget,
    dump_path,
    name_methods,
    plan_methods,
)
from tests.helpers.tiny import write_config


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('methods')
    for method in ('CAM', 'BAS'):
        write_config(folder, method)
    return folder


def plan(folder, *names, **options):
    configs = [str(folder / f'{name}.py') for name in names]
    return plan_methods(configs, names, [4, 7], folder / 'out', **options)


def test_names():
    with pytest.raises(ValueError, match='same name.*give --names'):
        name_methods(['a/cam.py', 'b/cam.py'])


def test_references():
    configs = ['adl_x', 'bas_x', 'a/cam_x.py']
    assert choose_references('abc', configs, None) == ['c', 'b']
    assert choose_references('abc', configs, ['a']) == ['a']
    assert choose_references(['one', 'two'], ['x.py', 'y.py'], None) == ['one']
    with pytest.raises(ValueError, match='--against twoo.*only one, two; did.*two'):
        choose_references(['one', 'two'], ['x.py', 'y.py'], ['twoo'])


def test_plan(folder):
    cam, bas = plan(folder, 'cam', 'bas')
    assert [cam.name, bas.name] == ['cam', 'bas'] and not cam.notes
    assert list(cam.jobs) == [4, 7] and cam.jobs[4].state == 'new'
    assert cam.jobs[7].result == folder / 'out' / 'cam-seed7-auto.json'
    assert dump_path(cam.jobs[7]) == folder / 'out' / 'cam-seed7-auto.npz'
    assert cam.settings == {'model.head.threshold': 'auto'}
    assert cam.cfg.default_hooks.calibrate.type == 'bas_mm.CalibrateHook'
    assert not (folder / 'out').exists()
    # another threshold has the same training
    (other,) = plan(folder, 'cam', threshold=0.25)
    assert other.cfg.pretty_text == cam.cfg.pretty_text
    assert other.jobs[4].folder == cam.jobs[4].folder
    assert other.jobs[4].result.name == 'cam-seed4-0.25.json'
    assert other.settings == {'model.head.threshold': 0.25}
    assert plan(folder, 'cam', threshold='config')[0].settings == {}
    with pytest.raises(ValueError, match="`--threshold` must be between 0 and 1.*'x'"):
        plan(folder, 'cam', threshold='x')


def test_classes_are_those_of_the_data(folder):
    (folder / 'many.py').write_text(
        f'_base_ = {str(folder / "bas.py")!r}\nmodel = dict(head=dict(num_classes=200))'
    )
    (many,) = plan(folder, 'many')
    assert many.cfg.model.head.num_classes == 3
    assert not many.cfg.num_classes_from_data
    (many,) = plan(folder, 'many', cfg_options={'model.head.num_classes': 5})
    assert many.cfg.model.head.num_classes == 5


def test_a_hook_that_is_left_out_stays_out(folder):
    (folder / 'bare.py').write_text(
        f'_base_ = {str(folder / "cam.py")!r}\ndefault_hooks = dict(calibrate=None)'
    )
    assert plan(folder, 'bare')[0].cfg.default_hooks.calibrate is None


def test_what_is_run(folder, monkeypatch):
    seen = []
    trained = []
    monkeypatch.setattr(methods, 'train', trained.append)
    monkeypatch.setattr(methods, 'last_checkpoint', lambda job: f'{job.name}.pth')
    monkeypatch.setattr(methods, 'test', lambda *words: seen.append(words))
    (cam,) = plan(folder, 'cam')
    for job in cam.jobs.values():
        cam.run(job._replace(env=(('A', '1'),)))
    (job, checkpoint, *first), (_, _, *second) = seen
    assert checkpoint == 'cam, seed 4.pth'
    assert [one.result for one in trained] == [j.result for j in cam.jobs.values()]
    assert job.env == (('A', '1'),)
    dump = str(folder / 'out' / 'cam-seed4-auto.npz')
    cut = ['--cfg-options', 'model.head.threshold=auto']
    assert first == ['--dump', dump, '--dump-views', '200', *cut]
    assert second[2:] == ['--dump-views', '0', *cut]  # views of the first seed alone
    (cam,) = plan(folder, 'cam', threshold='config')
    cam.run(cam.jobs[4])
    assert '--cfg-options' not in seen[-1]


def test_other_images_are_refused(folder):
    (folder / 'less.py').write_text(
        f'_base_ = {str(folder / "cam.py")!r}\n'
        'test_dataloader = dict(dataset=dict(indices=[1, 2]))'
    )
    with pytest.raises(ValueError, match='cam and less are tested on different images'):
        plan(folder, 'cam', 'less')
    # said in other words, they are the same
    (folder / 'all.py').write_text(
        f'_base_ = {str(folder / "cam.py")!r}\n'
        'test_dataloader = dict(dataset=dict(indices=list(range(9))))'
    )
    assert len(plan(folder, 'cam', 'all', 'bas')) == 3


def test_one_threshold_for_all_kinds_of_heads():
    head = dict(type='bas_mm.RCAMHead', threshold=0.35, percentile=90)
    rcam = Config(dict(model=dict(head=head)))
    settings, (note,) = cut_settings(rcam, 'RCAM', 'auto')
    assert settings == {'model.head.threshold': 'auto', 'model.head.percentile': None}
    assert 'percentile of RCAM (model.head.percentile=90) is out of use' in note
    assert cut_settings(rcam, 'RCAM', 'config') == ({}, [])
    cam = dict(head=dict(type='bas_mm.CAMHead'))
    linear = dict(head=dict(type='LinearClsHead'))
    agnostic = dict(head=dict(type='bas_mm.C2AMHead', in_channels=4))
    two = Config(dict(model=dict(localizer=agnostic, classifier=cam)))
    assert list(cut_settings(two, 'x', 0.2)[0]) == ['model.localizer.head.threshold']
    two = Config(dict(model=dict(localizer=cam, classifier=linear)))
    assert cut_settings(two, 'x', 0.2) == ({'model.localizer.head.threshold': 0.2}, [])
    settings, (note,) = cut_settings(Config(dict(model=linear)), 'PSOL', 0.2)
    assert not settings and note.startswith('The head of PSOL takes no threshold')


def test_budgets(folder):
    cam, bas = plan(folder, 'cam', 'bas')
    assert compare_budgets([cam, bas]) == []
    assert describe_budget(cam.cfg) == {
        'epochs': '2',
        'batch size': '5',
        'learning rate': '0.01',
        'trunk': 'MobileNetV1',
        'training view': '64',
    }
    two = Config(dict(cam.cfg.to_dict(), model=dict(localizer=cam.cfg.model)))
    assert describe_budget(two) == describe_budget(cam.cfg)
    longer = Config(cam.cfg.to_dict())
    longer.train_cfg.max_epochs = 9
    longer.train_dataloader.batch_size = 2
    three = [cam, bas, Method('long', longer, {})]
    assert compare_budgets(three) == [
        'Not the same epochs: 2 (cam, bas), 9 (long).',
        'Not the same batch size: 5 (cam, bas), 2 (long).',
    ]
