"""The tools from the command line, on a tiny stock classifier."""

import json
import os
import random
import runpy
import socket
import subprocess
import sys
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import pytest
import torch
from mmengine.fileio import load

TOOLS = Path(__file__).parents[2] / 'tools'

CONFIG = """
default_scope = 'mmpretrain'
dataset = dict(
    type='CustomDataset', data_root='nowhere', data_prefix='',
    pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')])
train_dataloader = dict(
    batch_size=4, num_workers=0, dataset=dict(indices=8, **dataset),
    sampler=dict(type='DefaultSampler', shuffle=False))
val_dataloader = dict(
    batch_size=2, num_workers=0, dataset=dataset,
    sampler=dict(type='DefaultSampler', shuffle=False))
test_dataloader = val_dataloader
val_evaluator = [
    dict(type='Accuracy', topk=1),
    dict(type='SingleLabelMetric', average=None)]
test_evaluator = val_evaluator
train_cfg = dict(by_epoch=True, max_epochs=2)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.003, momentum=0.9))
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='ResNet', depth=18, base_channels=4, stem_channels=4,
        norm_cfg=dict(type='GN', num_groups=2)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=3, in_channels=32),
    data_preprocessor=dict(mean=[120] * 3, std=[60] * 3, to_rgb=True))
custom_hooks = [dict(type='bas_mm.GridHook', num=4, cols=2)]
visualizer = dict(type='bas_mm.WSOLVisualizer')
randomness = dict(seed=0)
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A config and nine pictures of three classes."""
    folder = tmp_path_factory.mktemp('tools')
    (folder / 'tiny.py').write_text(CONFIG)
    rng = np.random.default_rng(0)
    for i in range(9):
        name = folder / 'data' / f'class{i // 3}' / f'{i % 3}.png'
        name.parent.mkdir(parents=True, exist_ok=True)
        picture = rng.integers(0, 99, (32, 32, 3))
        picture[..., i // 3] += 100
        cv2.imwrite(str(name), picture.astype(np.uint8))
    return folder


def call(tool, *argv):
    """Run a tool in this process, from the current folder."""
    words = [tool, *map(str, argv)]
    with mock.patch.object(sys, 'argv', words):
        runpy.run_path(str(TOOLS / tool), run_name='__main__')


def free_port():
    """A free port below those that systems hand out by themselves.

    It is used seconds later: one of those could be taken by then.
    """
    while True:
        port = random.SystemRandom().randint(20000, 32000)
        with socket.socket() as trial:
            if trial.connect_ex(('127.0.0.1', port)) != 0:
                return port


def run(folder, *command, code=0):
    """Run a command in a process of its own, without a GPU."""
    path = os.pathsep.join([str(TOOLS.parent), os.environ.get('PYTHONPATH', '')])
    bin_dir = str(Path(sys.executable).parent)
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={
            **os.environ,
            'PYTHONPATH': path,
            'PATH': os.pathsep.join([bin_dir, os.environ['PATH']]),
            'PORT': str(free_port()),
            'OMP_NUM_THREADS': '1',
            'CUDA_VISIBLE_DEVICES': '',
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture(scope='module')
def trained(folder):
    """A run of two epochs, the tool started as a user does."""
    run(
        folder,
        sys.executable,
        TOOLS / 'train.py',
        'tiny.py',
        '--data-root',
        'data',
        '--work-dir',
        'one',
    )
    return folder


def weights(path):
    return torch.load(path, weights_only=False)['state_dict']


def test_training_writes_checkpoint_and_grid(trained):
    assert (trained / 'one' / 'epoch_2.pth').is_file()
    assert (trained / 'one' / 'grid.png').is_file()


def test_resumed_run_equals_the_whole(trained, monkeypatch):
    (trained / 'two').mkdir()  # what a run killed in its second epoch leaves
    (trained / 'two' / 'last_checkpoint').write_text(
        str(trained / 'one' / 'epoch_1.pth')
    )
    monkeypatch.chdir(trained)
    call(
        'train.py',
        'tiny.py',
        '--data-root',
        'data',
        '--work-dir',
        'two',
        '--resume',
        '--no-validate',
    )
    assert not (trained / 'two' / 'epoch_1.pth').exists()
    whole = weights(trained / 'one' / 'epoch_2.pth')
    parts = weights(trained / 'two' / 'epoch_2.pth')
    for key, value in whole.items():
        torch.testing.assert_close(parts[key], value, rtol=1e-3, atol=1e-5, msg=key)


def test_two_processes_equal_one(trained, monkeypatch, capsys):
    """Training with half the batch each, and testing, on CPU."""
    run(
        trained,
        TOOLS / 'dist_train.sh',
        'tiny.py',
        2,
        '--data-root',
        'data',
        '--work-dir',
        'pair',
        '--no-validate',
        '--cfg-options',
        'train_dataloader.batch_size=2',
    )
    one = weights(trained / 'one' / 'epoch_2.pth')
    pair = weights(trained / 'pair' / 'epoch_2.pth')
    for key, value in one.items():
        torch.testing.assert_close(pair[key], value, rtol=1e-3, atol=1e-5, msg=key)

    checkpoint = 'one/epoch_2.pth'
    monkeypatch.chdir(trained)
    call(
        'test.py',
        'tiny.py',
        checkpoint,
        '--data-root',
        'data',
        '--work-dir',
        'alone',
        '--out',
        'alone.json',
        '--show-dir',
        'pictures',
    )
    metrics = json.loads((trained / 'alone.json').read_text())
    accuracy = metrics['accuracy/top1']
    table = capsys.readouterr().out
    table = table[table.index('\nmetric ') :].split()
    assert table[table.index('accuracy/top1') + 1] == f'{accuracy:.4f}'
    assert len(list((trained / 'pictures').iterdir())) == 9

    run(
        trained,
        TOOLS / 'dist_test.sh',
        'tiny.py',
        checkpoint,
        2,
        '--data-root',
        'data',
        '--work-dir',
        'both',
        '--out',
        'both.json',
        '--show-dir',
        'pictures2',
    )
    assert json.loads((trained / 'both.json').read_text()) == metrics
    assert sorted(p.name for p in (trained / 'pictures2').iterdir()) == sorted(
        p.name for p in (trained / 'pictures').iterdir()
    )


def test_predictions_are_written(trained, monkeypatch):
    monkeypatch.chdir(trained)
    call(
        'test.py',
        'tiny.py',
        'one/epoch_2.pth',
        '--data-root',
        'data',
        '--work-dir',
        'pred',
        '--out',
        'pred.pkl',
    )
    predictions = load('pred.pkl')
    assert len(predictions) == 9
    assert predictions[4]['gt_label'].tolist() == [1]


@pytest.mark.parametrize(
    'option, message',
    [
        ('--amp', '--amp needs a GPU'),
        ('--auto-scale-lr', 'base_batch_size'),
    ],
)
def test_options_that_cannot_be_had(folder, monkeypatch, option, message):
    monkeypatch.chdir(folder)
    monkeypatch.setattr('mmengine.device.get_device', lambda: 'cpu')
    with pytest.raises(ValueError, match=message):
        call('train.py', 'tiny.py', option)


@pytest.mark.parametrize(
    'options, message',
    [
        (['--out-item', 'pred'], 'give --out FILE too'),
        (['--out', 'a.json', '--out-item', 'pred'], 'ends in .pkl'),
        (['--out', 'a.txt'], 'ends in .json, .yaml or .pkl'),
    ],
)
def test_wrong_out(capsys, options, message):
    with pytest.raises(SystemExit):
        call('test.py', 'tiny.py', 'x.pth', *options)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    'script', sorted(TOOLS.glob('*.sh')), ids=lambda path: path.name
)
def test_scripts_say_how_they_are_used(folder, script):
    done = run(folder, script, code=2)
    assert f'Usage: {script} ' in done.stderr
