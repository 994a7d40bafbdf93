"""What is made before a training: weights, boxes and masks of earlier stages.

A config says it by ``stages``, a list of ``dict(key=, command=, config=)``: the
command makes something, and the setting ``key`` of the config gets its place. With
the key ``checkpoint`` it is what is tested, and the config itself is not trained.

=============== ============================= ==================================
command         made of                       it makes
=============== ============================= ==================================
train           a training of ``config``      its last checkpoint
export          a training of ``config``      boxes of the training images
pseudo-masks    a training of ``config``      masks of the training images
ddt             no training; ``config``, by   boxes of the training images
                default the config itself
=============== ============================= ==================================
"""

import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from mmengine.config import Config

from bas_mm.analysis.jobs import (
    Job,
    call,
    last_checkpoint,
    make_jobs,
    train,
    write_config,
)
from bas_mm.utils.configs import find_config

#: From each command to what the name of its output ends in.
COMMANDS = {
    'train': '.pth',
    'export': '.json',
    'pseudo-masks': '-masks',
    'ddt': '.json',
}
#: The key of weights that are tested as they are.
CHECKPOINT = 'checkpoint'
#: What the names of trainings that belong to stages alone begin with.
_ALONE = 'for-'
_FIELDS = ('key', 'command', 'config')

#: Two methods may need the same training: one makes it, the other waits.
_locks: defaultdict[Path, Lock] = defaultdict(Lock)


class Stage(NamedTuple):
    """Something that is made before a training.

    Attributes:
        key: Dotted setting that gets its place.
        command: What makes it, of :data:`COMMANDS`.
        job: What the command reads: a config, and where its training is kept.
        output: Where it is put: a file or a folder, there once it is whole.
        before: What is made before the training of ``job``.
        cfg: Config of a training that is for this stage alone; else None.
    """

    key: str
    command: str
    job: Job
    output: Path
    before: Sequence['Stage'] = ()
    cfg: Config | None = None


def declared(cfg: Config) -> list[dict[str, str | None]]:
    """Read what a config says of its stages.

    Raises:
        ValueError: If it is not as it must be.

    Example:
        >>> declared(Config(dict(stages=[dict(key='pseudo_file', command='ddt')])))
        [{'key': 'pseudo_file', 'command': 'ddt', 'config': None}]
    """
    found = []
    for one in cfg.get('stages') or ():
        known = isinstance(one, Mapping) and not set(one) - set(_FIELDS)
        if not known or not one.get('key') or one.get('command') not in COMMANDS:
            raise ValueError(
                '`stages` must be a list of dict(key=SETTING, command=COMMAND, '
                f'config=NAME) with a command of {", ".join(COMMANDS)}; got {one!r}.'
            )
        if one['command'] != 'ddt' and not one.get('config'):
            raise ValueError(
                f'`stages`: {one["command"]} needs a config that is trained first, '
                f"config='NAME'; got {dict(one)!r}."
            )
        if one['key'] == CHECKPOINT and one['command'] != 'train':
            raise ValueError(
                f'`stages`: {CHECKPOINT} is what is tested, which is made by train, '
                f'not by {one["command"]}.'
            )
        found.append({field: one.get(field) for field in _FIELDS})
    return found


class Planner:
    """Says what is made before trainings; nothing is written.

    Args:
        jobs: From the file of each config that is trained anyway to its jobs, by
            seed.
        read: Reads a config, with the settings of all.
        work_dir: Folder of all.
    """

    def __init__(
        self,
        jobs: Mapping[str, Mapping[int, Job]],
        read: Callable[[str], Config],
        work_dir: str | Path,
    ) -> None:
        self.jobs = jobs
        self.read = cache(read)
        self.work_dir = work_dir

    def plan(
        self, config: str, seed: int, job: Job, above: Sequence[str] = ()
    ) -> list[Stage]:
        """Give the stages of a training.

        Args:
            config: File of its config.
            seed: Its seed, which is that of its stages.
            job: Its job.
            above: Files of the configs that it is a stage of.

        Raises:
            ValueError: If ``stages`` of a config are not as they must be, or lead
                back to it.
        """
        above = [*above, config]
        stages = []
        for number, one in enumerate(declared(self.read(config))):
            command, of, cfg = str(one['command']), job, None
            before: Sequence[Stage] = ()
            if one['config']:
                path = find_config(one['config'])
                if path in above:
                    raise ValueError(
                        f'`stages` of {config} lead back to {one["config"]}: a stage '
                        'is trained before what it is a stage of.'
                    )
                if path in self.jobs:
                    of = self.jobs[path][seed]
                else:
                    cfg = self.read(path)
                    name = f'{_ALONE}{Path(path).stem}'
                    (of,) = make_jobs([name], [seed], self.work_dir)[name]
                before = self.plan(path, seed, of, above)
            stem = of.folder if command == 'train' else job.folder
            mark = '' if command == 'train' else f'-stage{number}'
            output = stem.with_name(f'{stem.name}{mark}{COMMANDS[command]}')
            stages.append(Stage(str(one['key']), command, of, output, before, cfg))
        return stages


def settings_of(stages: Sequence[Stage]) -> dict[str, str]:
    """Give the settings of a training that name what its stages make."""
    return {stage.key: str(stage.output) for stage in stages if stage.key != CHECKPOINT}


def given_weights(stages: Sequence[Stage]) -> Path | None:
    """Give the weights that are tested as they are, None if there are none."""
    return next((one.output for one in stages if one.key == CHECKPOINT), None)


def make_stages(stages: Sequence[Stage], env: tuple[tuple[str, str], ...] = ()) -> None:
    """Make what is not there, one after the other.

    Args:
        stages: The stages.
        env: Environment variables of their processes.

    Raises:
        RuntimeError: If one fails.
    """
    for stage in stages:
        if stage.output.exists():
            continue
        job = stage.job._replace(env=env)
        half = stage.output.with_name(f'tmp-{stage.output.name}')
        if stage.command == 'ddt':
            call('ddt', job, '--split', 'train', '--out', str(half))
        else:
            checkpoint = train_once(job, stage.before)
            if stage.command == 'train':
                shutil.copyfile(checkpoint, half)
            else:
                shutil.rmtree(half, ignore_errors=True)
                options = ('--split', 'train', '--out', str(half))
                call(stage.command, job, checkpoint, *options)
        os.replace(half, stage.output)


def train_once(job: Job, before: Sequence[Stage] = ()) -> str:
    """Train a job, its stages first; wait where another thread is at it.

    Returns:
        Its last checkpoint.
    """
    with training(job):
        if job.state == 'done':
            return last_checkpoint(job)
        make_stages(before, job.env)
        return train(job)


def training(job: Job) -> Lock:
    """Give the lock of the training of a job."""
    return _locks[job.folder]


def write_stages(stages: Sequence[Stage], seed: int) -> None:
    """Write the configs of the trainings that belong to stages alone."""
    for stage in stages:
        write_stages(stage.before, seed)
        if stage.cfg is not None:
            write_config(stage.cfg, settings_of(stage.before), seed, stage.job)


def describe_stages(name: str, stages: Sequence[Stage]) -> list[str]:
    """Say what a method needs before its training, one sentence or none.

    Example:
        >>> (job,) = make_jobs(['psol'], [0], 'out')['psol']
        >>> describe_stages('psol', [Stage('pseudo_file', 'ddt', job, Path('a.json'))])
        ['Before psol: ddt. Its cost is that of the last training.']
    """
    parts = []
    for stage in stages:
        config = stage.job.config.stem.rsplit('-seed', 1)[0].removeprefix(_ALONE)
        own = stage.job.name.startswith(f'{name}, ')
        parts.append(stage.command if own else f'{stage.command} of {config}')
    words = ', '.join(parts)
    if given_weights(stages) is not None:
        source = words.removeprefix('train of ')
        return [f'{name} is not trained, but tested with the weights of {source}.']
    after = 'Its cost is that of the last training.'
    return [f'Before {name}: {words}. {after}'] if parts else []
