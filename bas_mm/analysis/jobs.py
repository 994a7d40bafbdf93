"""Trainings in processes of their own: each once, resumed where it was killed.

A :class:`Run` is a config with some settings changed, a :class:`Job` is a run
with one seed. Nothing here knows what is studied.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple, NoReturn

from mmengine.config import Config

from bas_mm.utils.configs import share_pseudo_labels
from bas_mm.utils.files import write_atomic
from bas_mm.utils.signals import taking_signals

Metrics = dict[str, Any]


class Run(NamedTuple):
    """A config with some settings changed: a row of a table.

    Attributes:
        name: Its name.
        overrides: Dotted settings that differ from the config.
        x: Its place on a plot's axis; None if it has none.
    """

    name: str
    overrides: dict[str, Any]
    x: float | None = None


class Job(NamedTuple):
    """One training: a run with a seed, and where it is kept.

    Attributes:
        name: What it is called on the terminal.
        config: File of its config.
        folder: Folder of its checkpoints and logs.
        result: File of its metrics, there once it is done.
        env: Environment variables of its processes, beside those that are set.
    """

    name: str
    config: Path
    folder: Path
    result: Path
    env: tuple[tuple[str, str], ...] = ()

    @property
    def state(self) -> str:
        """How far it is: 'done', 'started' or 'new'."""
        if self.result.exists():
            return 'done'
        return 'started' if (self.folder / 'last_checkpoint').exists() else 'new'


def make_jobs(
    names: Sequence[str], seeds: Sequence[int], work_dir: str | os.PathLike[str]
) -> dict[str, list[Job]]:
    """Give each run with each seed its place; nothing is written.

    Args:
        names: Names of the runs.
        seeds: Seeds of each run.
        work_dir: Folder of all.

    Returns:
        The jobs of each run, one for each seed.

    Raises:
        ValueError: If two runs have the same name as a file.

    Example:
        >>> jobs = make_jobs(['no warm-up'], [0, 1], 'out')
        >>> [job.result.as_posix() for job in jobs['no warm-up']]
        ['out/no-warm-up-seed0.json', 'out/no-warm-up-seed1.json']
    """
    root = Path(work_dir)
    jobs: dict[str, list[Job]] = {}
    for name in names:
        slug = re.sub(r'[^\w.+=-]+', '-', name)
        jobs[name] = []
        for seed in seeds:
            config, folder, result = (
                root / f'{slug}-seed{seed}{end}' for end in ('.py', '', '.json')
            )
            jobs[name].append(Job(f'{name}, seed {seed}', config, folder, result))
    files = [job.result for group in jobs.values() for job in group]
    if len(set(files)) < len(files) or len(jobs) < len(names):
        raise ValueError(
            'Two runs have the same name, or two seeds are the same: '
            f'{list(names)}, {list(seeds)}.'
        )
    return jobs


def write_config(
    cfg: Config, overrides: Mapping[str, Any], seed: int, job: Job
) -> None:
    """Write the config of a job.

    Args:
        cfg: The config, not changed.
        overrides: Dotted settings that differ.
        seed: The seed.
        job: The job.

    Raises:
        ValueError: If the job was begun with another config.
    """
    cfg = Config(cfg.to_dict())
    cfg.merge_from_dict(
        {**overrides, 'work_dir': str(job.folder), 'randomness.seed': seed}
    )
    share_pseudo_labels(cfg)
    text = cfg.pretty_text
    if job.config.exists() and job.state != 'new':
        if job.config.read_text(encoding='utf-8') != text:
            raise ValueError(
                f'{job.config} was begun with other settings than these. '
                'Give another --work-dir, or remove the files '
                f'{job.config.stem}* there to run it anew.'
            )
        return
    job.config.parent.mkdir(parents=True, exist_ok=True)
    job.config.write_text(text, encoding='utf-8')


def call(command: str, job: Job, *options: str) -> None:
    """Run a command of ``bas-mm`` on the config of a job.

    Its output is kept beside the job's folder.

    Args:
        command: The command, such as 'train'.
        job: The job.
        *options: More for the command line.

    Raises:
        RuntimeError: If it fails, with the end of its output.
    """
    log = job.folder.with_suffix(job.folder.suffix + '.log')
    words = [sys.executable, '-m', 'bas_mm', command, str(job.config), *options]
    env = {**os.environ, **dict(job.env)}
    with open(log, 'ab') as file:
        code = run_program(words, stdout=file, stderr=subprocess.STDOUT, env=env)
    if code:
        tail = log.read_text(encoding='utf-8', errors='replace')
        tail = '\n    '.join(tail.rstrip().splitlines()[-5:])
        raise RuntimeError(
            f'bas-mm {command} ended with code {code}. Its output is in {log}, the '
            f'last lines:\n    {tail}'
        )


#: Programs that run now.
_running: set[subprocess.Popen] = set()


def run_program(words: Sequence[str], **settings: Any) -> int:
    """Run a program to its end, and give its exit code.

    Args:
        words: The program and its arguments.
        **settings: Of :class:`subprocess.Popen`.
    """
    with subprocess.Popen(words, **settings) as program:
        _running.add(program)
        try:
            return program.wait()
        finally:
            _running.discard(program)


def _stop_all(number: int, frame: Any) -> NoReturn:
    """End the programs too: trainings leave a checkpoint, and do not go on alone."""
    for program in tuple(_running):
        program.send_signal(number)
    sys.exit(128 + number)


def last_checkpoint(job: Job) -> str:
    """Find the latest checkpoint of a job.

    Raises:
        RuntimeError: If there is none.
    """
    path = job.folder / 'last_checkpoint'
    if not path.exists():
        raise RuntimeError(
            f'The training in {job.folder} has left no checkpoint: the config '
            'needs `default_hooks.checkpoint`.'
        )
    return path.read_text(encoding='utf-8').strip()


def train(job: Job) -> str:
    """Train a job, from where it was left.

    Returns:
        Its last checkpoint.
    """
    resume = ['--resume'] if job.state == 'started' else []
    call('train', job, '--no-validate', *resume)
    return last_checkpoint(job)


def train_alone(job: Job) -> None:
    """Train a job that has no test of its own; its result is its checkpoint."""
    checkpoint = train(job)
    content = json.dumps(dict(checkpoint=checkpoint))
    write_atomic(job.result, f'{content}\n'.encode())


def train_and_test(job: Job, *options: str) -> None:
    """Train and test a job; it is done when its result file is there.

    Args:
        job: The job.
        *options: More for the command line of the test.
    """
    test(job, train(job), *options)


def test(job: Job, checkpoint: str | None, *options: str) -> None:
    """Test a job; it is done when its result file is there.

    Args:
        job: The job.
        checkpoint: What is tested; None where the config names all weights.
        *options: More for the command line of the test.
    """
    words = [] if checkpoint is None else [checkpoint]
    half = job.result.with_suffix('.tmp.json')
    call('test', job, *words, '--out', str(half), *options)
    os.replace(half, job.result)


def share_machine(
    devices: Sequence[str], cores: int, num: int | None = None
) -> list[dict[str, str]]:
    """Divide the machine into places for jobs that run at once.

    Args:
        devices: Its GPUs, as ``CUDA_VISIBLE_DEVICES`` names them.
        cores: Number of its cores.
        num: How many places; by default one a GPU, without one a place for two
            cores.

    Returns:
        Environment variables of each place: its GPU, and, where there is more
        than one place, its share of the cores.

    Raises:
        ValueError: If ``num`` is below 1.

    Example:
        >>> share_machine([], 4)
        [{'OMP_NUM_THREADS': '2'}, {'OMP_NUM_THREADS': '2'}]
        >>> share_machine(['0', '1'], 8, 1), share_machine([], 2)
        ([{}], [{}])
    """
    if num is None:
        num = len(devices) or max(cores // 2, 1)
    if num < 1:
        raise ValueError(f'--jobs must be at least 1, got {num}.')
    if num == 1:
        return [{}]
    places = [{'OMP_NUM_THREADS': str(max(cores // num, 1))} for _ in range(num)]
    for i, place in enumerate(places):
        if devices:
            place['CUDA_VISIBLE_DEVICES'] = devices[i % len(devices)]
    return places


def run_jobs(
    jobs: Sequence[Job],
    action: Callable[[Job], Any] = train_and_test,
    places: Sequence[Mapping[str, str]] = ({},),
) -> Iterator[tuple[Job, str]]:
    """Do what is not done, as many at once as there are places.

    A failure stops no other job. SIGTERM stops all: trainings leave a checkpoint.

    Args:
        jobs: The jobs.
        action: What is done with each; with several places in a thread.
        places: Environment variables of each place, see :func:`share_machine`.

    Yields:
        Each job that was not done, as it ends, and what went wrong ('' for
        nothing).
    """
    free: SimpleQueue[Mapping[str, str]] = SimpleQueue()
    for place in places:
        free.put(place)

    def work(number: int, job: Job) -> tuple[Job, str]:
        place = free.get()
        print(f'[{number}/{len(jobs)}] {job.name}', flush=True)
        try:
            action(job._replace(env=tuple(place.items())) if place else job)
        except RuntimeError as caught:
            which = '' if len(places) == 1 else f'{job.name} '
            print(f'  {which}failed: {caught}', flush=True)
            return job, str(caught)
        finally:
            free.put(place)
        return job, ''

    todo = [(i, job) for i, job in enumerate(jobs, 1) if job.state != 'done']
    # a Ctrl-C reaches the programs by itself
    stopping = taking_signals([signal.SIGTERM], _stop_all)
    if len(places) == 1:
        with stopping:
            yield from (work(*one) for one in todo)
        return
    with stopping, ThreadPoolExecutor(len(places)) as pool:
        try:
            for future in as_completed([pool.submit(work, *one) for one in todo]):
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def read_results(jobs: Sequence[Job]) -> list[Metrics]:
    """Read the metrics of the jobs that are done."""
    return [
        json.loads(job.result.read_text(encoding='utf-8'))
        for job in jobs
        if job.state == 'done'
    ]
