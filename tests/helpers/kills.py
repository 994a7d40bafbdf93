"""Trainings that are killed and resumed, and what they must end in.

``python -m tests.helpers.kills --moments 20`` kills a training of the toy set
at random moments, resumes it, and compares weights and logs with those of the
training that was left alone.
"""

import argparse
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import torch

from bas_mm.engine.resume import list_checkpoints
from tests.helpers.classifier import read_weights
from tests.helpers.commands import call, free_port
from tests.helpers.tiny import write_config

#: Augmentation by workers, CutMix or Mixup, warm-ups and a schedule by steps.
MORE = """
train_dataloader.update(num_workers=WORKERS, batch_size=2)
model['train_cfg'] = dict(augments=[
    dict(type='CutMix', alpha=1.0), dict(type='Mixup', alpha=0.8)])
model['backbone'] = dict(type='ResNet', depth=18, base_channels=4, stem_channels=4)
model['neck'] = dict(type='bas_mm.SplitNeck', start='layer4')
model['head'].update(in_channels=32)
model['data_preprocessor'].update(num_classes=3)
train_cfg.update(max_epochs=3)
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=1),
    checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=2),
    monitor=dict(type='bas_mm.WSOLMonitorHook'),
    warmup=dict(type='bas_mm.ClsWarmupHook', epochs=1))
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=0.1, end=7),
    dict(type='MultiStepLR', by_epoch=True, milestones=[2], gamma=0.5)]
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9))
visualizer.update(vis_backends=[dict(type='LocalVisBackend')])
randomness = dict(seed=0, deterministic=True)
"""


def write_training(folder, workers=2, more=''):
    """Write ``cam.py``, a training of 15 steps on nine images."""
    path = write_config(folder, 'CAM')
    path.write_text(path.read_text() + MORE.replace('WORKERS', str(workers)) + more)
    return path


def start(folder, *words, processes=1, config='cam.py'):
    """Start ``bas-mm train CONFIG`` in processes that share what is imported."""
    port = free_port()
    context = multiprocessing.get_context('fork')
    started = [
        context.Process(
            target=_train, args=(folder, (config, *words), rank, processes, port)
        )
        for rank in range(processes)
    ]
    for process in started:
        process.start()
    return started


def _train(folder, words, rank, processes, port):
    os.setsid()  # its workers are found by their group
    os.chdir(folder)
    with open(f'out{rank}.txt', 'a') as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
        sys.stdout = sys.stderr = open(os.dup(1), 'w', buffering=1)
    if processes > 1:
        os.environ.update(
            RANK=str(rank),
            LOCAL_RANK=str(rank),
            WORLD_SIZE=str(processes),
            MASTER_ADDR='127.0.0.1',
            MASTER_PORT=str(port),
        )
        words = (*words, '--launcher', 'pytorch')
    torch.set_num_threads(1)
    random.seed()  # what no seed says is another each time
    call('train', *words)


def read_text(work_dir):
    """Give what the trainings in a work dir said."""
    paths = sorted(Path(work_dir).glob('*/*.log'))
    return ''.join(path.read_text() for path in paths)


def count_lines(work_dir):
    """Count the lines of progress."""
    return read_text(work_dir).count('Epoch(')


def wait_for(work_dir, started, lines):
    """Wait until there are so many, or the training is over."""
    while count_lines(work_dir) < lines and started[0].is_alive():
        time.sleep(0.01)


def end(started):
    """Wait for processes; give their exit codes."""
    for process in started:
        process.join()
    return [process.exitcode for process in started]


def kill(started):
    """Kill processes and their workers as a machine that dies does."""
    for process in started:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            process.kill()
    return end(started)


def read_logs(work_dir):
    """Give what was logged, by kind and step; what was done twice must agree."""
    logs = {}
    for path in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # the kill came here
            for name in ('time', 'data_time', 'memory'):
                entry.pop(name, None)
            key = ('loss' in entry, entry['step'])
            assert logs.setdefault(key, entry) == entry, (key, logs[key], entry)
    return logs


def read_state(work_dir):
    """Give the weights and the state of the optimizer at the end."""
    path = list_checkpoints(work_dir)[0]
    content = torch.load(path, weights_only=False)
    momentum = content['optimizer']['state'].values()
    state = {str(i): one['momentum_buffer'] for i, one in enumerate(momentum)}
    return path.name, {**read_weights(path), **state}


def assert_equal(folder, one, other):
    """Compare two trainings bit for bit."""
    (name, whole), (again, parts) = (read_state(folder / x) for x in (one, other))
    assert name == again and whole.keys() == parts.keys()
    differing = [key for key in whole if not torch.equal(whole[key], parts[key])]
    assert not differing, f'{len(differing)} of {len(whole)}: {differing[:3]}'
    logs = read_logs(folder / one)
    assert len(logs) > 3 and read_logs(folder / other) == logs


def main():
    """Kill at random moments, and say what came of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--moments', type=int, default=20)
    parser.add_argument('--processes', type=int, default=1)
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_training(folder, args.workers)
        words = ('--work-dir', 'whole')
        assert not any(end(start(folder, *words, processes=args.processes)))
        length = count_lines(folder / 'whole')
        for number in range(args.moments):
            work_dir = f'killed{number}'
            words = ('--work-dir', work_dir, '--resume')
            started = start(folder, *words[:2], processes=args.processes)
            wait_for(folder / work_dir, started, rng.randrange(length))
            time.sleep(rng.uniform(0, 0.1))
            codes = kill(started)
            steps = sum(train for train, _ in read_logs(folder / work_dir))
            paths = [path.name for path in list_checkpoints(folder / work_dir)]
            words = words if paths else words[:2]
            again = end(start(folder, *words, processes=args.processes))
            assert not any(again), (folder / 'out0.txt').read_text()[-3000:]
            assert_equal(folder, 'whole', work_dir)
            print(
                f'{number + 1}: exit {codes} after {steps} logged steps, '
                f'{", ".join(paths) or "no checkpoint"}: bit-equal',
                flush=True,
            )


if __name__ == '__main__':
    main()
