"""Signals that stop a training, and the checkpoint that they leave."""

import contextlib
import os
import os.path as osp
import signal
import threading
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from bas_mm.engine.checkpoint_hook import ATOMIC, STOPPED
from bas_mm.utils.files import write_atomic
from bas_mm.utils.signals import taking_signals

#: What a terminal, a system and Slurm (of itself, or by ``--signal=USR1@60``) send.
SIGNALS = (
    signal.SIGTERM,
    signal.SIGINT,
    *filter(None, [getattr(signal, 'SIGUSR1', None)]),
)


class Stopped(SystemExit):
    """Ends the program as the signal would have: 128 and its number."""


class IgnoreSignals:
    """Starts a worker of a data loader, which outlives the signals.

    They reach all processes of a terminal or a job, and the training needs its
    workers until the step is done. SIGTERM of the training itself ends one.

    Args:
        init: What else is to be done at the start.
    """

    def __init__(self, init: Callable[[int], Any] | None) -> None:
        self.init = init

    def __call__(self, worker: int) -> None:
        """Start the worker of a number."""
        for number in SIGNALS:
            if number != signal.SIGTERM:
                signal.signal(number, signal.SIG_IGN)
        if hasattr(signal, 'sigwaitinfo'):
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            threading.Thread(target=_obey_parent, daemon=True).start()
        if self.init is not None:
            self.init(worker)


def _obey_parent() -> None:
    """End the process at a SIGTERM of its parent; others are nothing to it."""
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != os.getppid():
        pass
    os._exit(0)


class StopHook(Hook):
    """Saves the last whole step and ends the training when a signal came.

    Several processes stop at the same step, whichever of them got it. A
    second signal ends the process at once.
    """

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.received: int | None = None
        self._group: Any = None
        self._asked: torch.Tensor | None = None
        self._work: Any = None

    def listening(self) -> contextlib.AbstractContextManager[None]:
        """Take the signals; only the main thread of a process can."""
        return taking_signals(SIGNALS, self._take)

    def _take(self, number: int, frame: Any) -> None:
        if self.received is not None:
            raise Stopped(128 + number)
        self.received = number

    def before_save_checkpoint(
        self, runner: Runner, checkpoint: dict[str, Any]
    ) -> None:
        """Note what a resume has to know."""
        meta = checkpoint['meta']
        meta['validated'] = getattr(runner.train_loop, 'validated', meta['epoch'])
        meta['processes'] = runner.world_size

    def before_train(self, runner: Runner) -> None:
        """Make the group in which the processes agree, beside the GPUs' own."""
        if runner.world_size > 1 and dist.is_initialized():
            self._group = dist.new_group(backend='gloo')

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Ask the other processes while the step is computed."""
        if self._group is not None:
            self._asked = torch.tensor(self.received or 0)
            self._work = dist.all_reduce(
                self._asked, dist.ReduceOp.MAX, self._group, async_op=True
            )

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Save and stop if a process had a signal before the step.

        Raises:
            Stopped: If so.
        """
        number = self.received
        if self._work is not None and self._asked is not None:
            self._work.wait()
            number = int(self._asked) or None
        wrapper = runner.optim_wrapper
        if isinstance(wrapper, OptimWrapper) and not wrapper.should_update():
            return  # gradients under way are in no checkpoint
        if number is not None:
            self._stop(runner, number, runner.iter + 1)

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Save and stop; a resume begins the validation anew.

        Raises:
            Stopped: If there was a signal.
        """
        if self.received is not None:
            self._stop(runner, self.received, runner.iter, wait=False)

    def _stop(self, runner: Runner, number: int, step: int, wait: bool = True) -> None:
        name = signal.Signals(number).name
        path = save_stopped(runner, step)
        if wait and self._group is not None:
            dist.barrier(self._group)  # nobody ends before the file is there
        runner.logger.info(
            f'Stopped by {name} after step {step} (epoch {runner.epoch + 1}): {path} '
            'is whole. Go on with the same command and --resume.'
        )
        raise Stopped(128 + number)


def save_stopped(runner: Runner, step: int) -> str:
    """Save a checkpoint from which a resume goes on at any step.

    Args:
        runner: The runner; of several processes the first one writes.
        step: Steps that were trained, of all epochs.

    Returns:
        Its path, in the work dir.
    """
    epoch = runner.epoch
    done = step - epoch * len(runner.train_dataloader)
    path = osp.join(runner.work_dir, STOPPED.format(epoch, done))
    runner.save_checkpoint(
        runner.work_dir,
        osp.basename(path),
        meta=dict(epoch=epoch, iter=step),
        by_epoch=False,
        backend_args=dict(backend=ATOMIC),
    )
    if is_main_process():
        write_atomic(osp.join(runner.work_dir, 'last_checkpoint'), path.encode())
    return path
