"""What a training goes on from, and what it refuses."""

import shutil
import subprocess
import sys

import pytest
import torch

from bas_mm.engine.checkpoint import CheckpointError
from bas_mm.engine.resume import find_whole, list_checkpoints, load_resumable
from bas_mm.engine.work_dir_lock import LOCK, work_dir_lock
from tests.helpers.classifier import read_weights
from tests.helpers.commands import call

DATA = ('--data-root', 'data')


@pytest.fixture
def folder(trained, tmp_path, monkeypatch):
    """A copy of a run of two epochs."""
    shutil.copytree(trained, tmp_path / 'copy')
    monkeypatch.chdir(tmp_path / 'copy')
    return tmp_path / 'copy'


def cut(path):
    path.write_bytes(path.read_bytes()[:5000])


def resume(*words):
    call('train', 'tiny.py', *DATA, '--work-dir', 'one', '--resume', *words)


def test_falls_back_to_the_newest_that_is_whole(folder):
    before = read_weights(folder / 'one' / 'epoch_2.pth')
    cut(folder / 'one' / 'epoch_2.pth')
    path, content, faults = find_whole(folder / 'one')
    assert path.name == 'epoch_1.pth' and content['meta']['epoch'] == 1
    assert 'epoch_2.pth' in faults[0] and 'cut off' in faults[0]
    resume()
    log = ''.join(path.read_text() for path in (folder / 'one').glob('*/*.log'))
    assert 'epoch_1.pth instead' in log
    after = read_weights(folder / 'one' / 'epoch_2.pth')
    assert before.keys() == after.keys()
    for key, value in before.items():
        torch.testing.assert_close(after[key], value, rtol=1e-3, atol=1e-5, msg=key)


def test_the_last_comes_first_and_the_best_never(folder):
    one = folder / 'one'
    shutil.copy(one / 'epoch_1.pth', one / 'best_x_epoch_9.pth')
    shutil.copy(one / 'epoch_1.pth', one / 'epoch_7.pth')  # of an older run
    names = [path.name for path in list_checkpoints(one)]
    assert names[0] == 'epoch_2.pth' and sorted(names[1:]) == [
        'epoch_1.pth',
        'epoch_7.pth',
    ]
    (one / 'last_checkpoint').write_text('')  # a kill came while it was written
    assert list_checkpoints(one)[0].name == 'epoch_7.pth'


def test_nothing_to_go_on_from(folder):
    with pytest.raises(SystemExit, match="no checkpoint to go on .*new'.*--resume"):
        call('train', 'tiny.py', *DATA, '--work-dir', 'new', '--resume')
    for path in (folder / 'one').glob('*.pth'):
        cut(path)
    with pytest.raises(SystemExit, match='(?s)epoch_2.*cut off.*epoch_1.*cut off'):
        resume()


def test_weights_alone_are_refused(tmp_path):
    torch.save(dict(state_dict={}, meta={}), tmp_path / 'weights.pth')
    with pytest.raises(CheckpointError, match='has no optimizer.*load_from=FILE'):
        load_resumable(tmp_path / 'weights.pth')


@pytest.mark.parametrize(
    'option, change',
    [
        ('model.backbone.depth=34', 'model.backbone.depth: 18 -> 34'),
        ('train_cfg.max_epochs=3', 'train_cfg.max_epochs: 2 -> 3'),
        ('train_dataloader.batch_size=2', 'train_dataloader.batch_size: 4 -> 2'),
        ('optim_wrapper.optimizer.lr=1', 'optim_wrapper.optimizer.lr: 0.003 -> 1'),
        ('model.head.loss.type=FocalLoss', "loss.type: not set -> 'FocalLoss'"),
        ('randomness.seed=1', 'randomness.seed: 0 -> 1'),
    ],
)
def test_other_settings_are_named(folder, option, change):
    with pytest.raises(SystemExit) as error:
        resume('--cfg-options', option)
    assert change in str(error.value) and '--allow-changes' in str(error.value)
    assert '\n' not in str(error.value)


def test_other_settings_that_are_asked_for(folder):
    resume('--allow-changes', '--cfg-options', 'train_cfg.max_epochs=3')
    assert (folder / 'one' / 'epoch_3.pth').is_file()


def test_what_changes_nothing(folder):
    words = ('default_hooks.logger.type=LoggerHook', 'train_dataloader.num_workers=1')
    resume('--no-validate', '--cfg-options', *words)
    # one of before there was such a hook
    hook = 'default_hooks.calibrate.type=bas_mm.CalibrateHook'
    resume('--no-validate', '--cfg-options', hook)


def test_a_full_disk_leaves_the_checkpoints(folder, monkeypatch):
    def full(*args):
        raise OSError(28, 'No space left on device')

    before = (folder / 'one' / 'epoch_2.pth').read_bytes()
    monkeypatch.setattr('bas_mm.utils.files.os.fsync', full)
    with pytest.raises(SystemExit, match='disk is full.*epoch_'):
        call('train', 'tiny.py', *DATA, '--work-dir', 'one')
    assert (folder / 'one' / 'epoch_2.pth').read_bytes() == before
    assert not list((folder / 'one').glob('.*.part'))


def test_the_old_goes_after_the_new_is_there(folder):
    keep = 'default_hooks.checkpoint.max_keep_ckpts=1'
    kind = 'default_hooks.checkpoint.type=CheckpointHook'
    every = 'default_hooks.checkpoint.interval=1'
    stale = folder / 'w' / '.epoch_1.pth.77.part'
    stale.parent.mkdir()
    stale.write_text('of a run that was killed')
    call(
        'train', 'tiny.py', *DATA, '--work-dir', 'w', '--cfg-options', keep, kind, every
    )
    assert [path.name for path in (folder / 'w').glob('*.pth')] == ['epoch_2.pth']
    assert not stale.exists()


@pytest.mark.parametrize('best', ['wsol/gt_known', 'accuracy/top1'])
def test_best_of_a_figure_that_there_is_or_not(folder, best):
    hook = 'default_hooks.checkpoint'
    words = (f'{hook}.type=CheckpointHook', f'{hook}.save_best={best}')
    words = (*words, f'{hook}.rule=greater')
    if best.startswith('wsol'):
        with pytest.raises(SystemExit, match="no 'wsol/gt_known'.*accuracy/top1"):
            call('train', 'tiny.py', *DATA, '--work-dir', 'w', '--cfg-options', *words)
    else:
        call('train', 'tiny.py', *DATA, '--work-dir', 'w', '--cfg-options', *words)
        assert len(list((folder / 'w').glob('best_accuracy_top1_epoch_*.pth'))) == 1


HOLD = """
import sys
from bas_mm.engine.work_dir_lock import work_dir_lock
with work_dir_lock(sys.argv[1]):
    print('locked', flush=True)
    sys.stdin.read()
"""


def test_a_second_training_is_refused(folder):
    process = subprocess.Popen(
        [sys.executable, '-c', HOLD, 'one'],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b'locked\n'
    with pytest.raises(SystemExit, match=rf"runs in 'one'.*{process.pid}.*--work-dir"):
        resume()
    process.kill()  # what it leaves behind keeps nobody out
    process.wait()
    assert str(process.pid) in (folder / 'one' / LOCK).read_text()
    with work_dir_lock('one'):
        pass


def test_only_the_first_process_locks(tmp_path, monkeypatch):
    monkeypatch.setenv('SLURM_PROCID', '1')
    with work_dir_lock(str(tmp_path), 'slurm'):
        assert not (tmp_path / LOCK).exists()
