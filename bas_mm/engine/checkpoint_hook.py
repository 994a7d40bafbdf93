"""Checkpoints of which one is always whole."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, get_file_backend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from bas_mm.registry import HOOKS
from bas_mm.utils.files import write_atomic

#: Name of the backend that writes files whole, for ``backend_args``.
ATOMIC = 'bas_mm.atomic'
#: Files of runs that were stopped inside an epoch: epochs, steps after them.
STOPPED = 'epoch_{}_step_{}.pth'


class AtomicBackend(LocalBackend):
    """Local files that are written whole, and removed only when asked twice.

    A file is written beside its place, flushed and renamed. What is to be
    removed is first noted in ``outdated``.
    """

    def __init__(self) -> None:
        self.outdated: list[str] = []

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write a file whole."""
        write_atomic(filepath, obj, flush=True)

    def remove(self, filepath: str | Path) -> None:
        """Note a file that is to be removed."""
        self.outdated.append(str(filepath))

    def remove_outdated(self) -> None:
        """Remove what was noted."""
        for path in self.outdated:
            Path(path).unlink(missing_ok=True)
        self.outdated.clear()


register_backend(ATOMIC, AtomicBackend)


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's hook, whose files are whole and go only after the next is there.

    A kill or a full disk while a checkpoint is written leaves those before it.
    Options are those of :class:`mmengine.hooks.CheckpointHook`; other file
    systems than the local one are written as mmengine does. ``save_best`` is
    checked before training.

    Raises:
        ValueError: Before training, if ``save_best`` asks for a figure that
            the validation does not give.
        OSError: If a checkpoint cannot be written.
    """

    backend_args: dict[str, Any] | None

    def before_train(self, runner: Runner) -> None:
        """Take the backend that writes whole files; tidy up after kills."""
        super().before_train(runner)
        local = type(get_file_backend(self.out_dir)) is LocalBackend
        own: Any = self.backend_args
        if local and not own and self.file_client_args is None:
            self.backend_args = dict(backend=ATOMIC)
            self.file_backend = AtomicBackend()
            if is_main_process():
                for part in Path(self.out_dir).glob('.*.pth.*.part'):
                    part.unlink(missing_ok=True)
        if self.save_best is not None and 'auto' not in self.save_best:
            check_figures(runner, self.save_best)

    def _save_checkpoint_with_step(
        self, runner: Runner, step: int, meta: dict[str, Any]
    ) -> None:
        super()._save_checkpoint_with_step(runner, step, meta)
        self._remove_outdated(runner)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, Any]) -> None:
        super()._save_best_checkpoint(runner, metrics)
        self._remove_outdated(runner)

    def after_val_epoch(
        self, runner: Runner, metrics: dict[str, Any] | None = None
    ) -> None:
        """Save the best checkpoint; the validation is over from here on."""
        if hasattr(runner.train_loop, 'validated'):
            runner.train_loop.validated = runner.epoch
        super().after_val_epoch(runner, metrics or {})

    def _remove_outdated(self, runner: Runner) -> None:
        """Remove what the new checkpoint has outdated."""
        if not is_main_process() or not isinstance(self.file_backend, AtomicBackend):
            return
        self.file_backend.remove_outdated()
        if self.max_keep_ckpts > 0:
            for path in Path(runner.work_dir).glob(STOPPED.format('*', '*')):
                path.unlink(missing_ok=True)


def check_figures(runner: Runner, names: list[str]) -> None:
    """Check that the validation gives some figures, on a few images of it.

    Args:
        runner: The runner.
        names: Names of the figures.

    Raises:
        ValueError: If one is missing; names those that there are.
    """
    if runner.val_loop is None:
        return
    figures = try_figures(runner)
    missing = [name for name in names if name not in figures]
    if missing:
        raise ValueError(
            f'The validation gives no {missing[0]!r}, which '
            '`default_hooks.checkpoint.save_best` asks for. On this data it gives '
            f'{", ".join(figures)}: take one of them.'
        )


def try_figures(runner: Runner) -> Mapping[str, Any]:
    """Give the figures of a validation of a few images."""
    loop = runner.val_loop
    dataset = loop.dataloader.dataset
    indices = {0, len(dataset) - 1}
    if hasattr(dataset, 'get_data_info'):  # one that has boxes, if there is any
        infos = ((i, dataset.get_data_info(i)) for i in range(len(dataset)))
        indices.update(
            [i for i, info in infos if info.get('gt_bboxes') is not None][:1]
        )
    samples = [dataset[i] for i in sorted(indices)]
    runner.model.eval()
    batch = loop.dataloader.collate_fn(samples)
    outputs = runner.model.val_step(batch)
    loop.evaluator.process(data_samples=outputs, data_batch=batch)
    return loop.evaluator.evaluate(len(samples))
