"""A Runner whose trainings survive kills."""

import copy
from typing import Any

from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import BaseLoop, Runner
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from bas_mm.engine.checkpoint_hook import AtomicCheckpointHook
from bas_mm.engine.merged_steps import merge_by_default
from bas_mm.engine.resume import (
    changed_settings,
    explain_changes,
    find_whole,
    load_resumable,
)
from bas_mm.engine.stop_hook import IgnoreSignals, StopHook
from bas_mm.engine.train_loop import ResumableTrainLoop
from bas_mm.registry import RUNNERS


@RUNNERS.register_module()
class ResumableRunner(Runner):
    """mmengine's Runner, of which no training is lost.

    Its configs are those of mmengine's, which stays usable with them. What
    differs: mmengine's ``CheckpointHook`` is replaced by
    :class:`AtomicCheckpointHook` and its epoch loop by
    :class:`ResumableTrainLoop`; SIGTERM, SIGINT and SIGUSR1 leave a checkpoint
    of the last whole step; an optimizer steps over merged groups
    (:class:`MergedOptimWrapperConstructor`) unless ``optim_wrapper.constructor``
    names another; ``resume`` takes the newest checkpoint that is
    whole, refuses an empty work dir, and refuses other settings than those of
    the checkpoint.

    Attributes:
        allow_changes (bool): Whether a resume may have other settings.
    """

    allow_changes = False

    def train(self) -> nn.Module:
        """Train; see the class."""
        hook = StopHook()
        self.register_hook(hook)
        with hook.listening():
            return super().train()

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build the loop; one of epochs is resumable."""
        if isinstance(loop, dict):
            cfg = dict(copy.deepcopy(loop))
            kind, by_epoch = cfg.pop('type', None), cfg.pop('by_epoch', None)
            if kind == 'EpochBasedTrainLoop' or (kind is None and by_epoch):
                return ResumableTrainLoop(self, self._train_dataloader, **cfg)
        return super().build_train_loop(loop)

    def build_optim_wrapper(
        self, optim_wrapper: Optimizer | OptimWrapper | dict
    ) -> OptimWrapper | OptimWrapperDict:
        """Build the optimizer and its wrapper, by default with merged steps."""
        return super().build_optim_wrapper(merge_by_default(optim_wrapper))

    @staticmethod
    def build_dataloader(
        dataloader: DataLoader | dict,
        seed: int | None = None,
        diff_rank_seed: bool = False,
    ) -> DataLoader:
        """Build a data loader, whose workers outlive the signals."""
        loader = Runner.build_dataloader(dataloader, seed, diff_rank_seed)
        if loader is not dataloader:
            loader.worker_init_fn = IgnoreSignals(loader.worker_init_fn)
        return loader

    def register_default_hooks(
        self, hooks: dict[str, Hook | dict] | None = None
    ) -> None:
        """Register them, the checkpoints' one with whole files."""
        hooks = dict(hooks or {})
        hook = hooks.get('checkpoint', dict(type='CheckpointHook', interval=1))
        if isinstance(hook, dict) and hook.get('type') == 'CheckpointHook':
            settings = {key: value for key, value in hook.items() if key != 'type'}
            hooks['checkpoint'] = AtomicCheckpointHook(**settings)
        super().register_default_hooks(hooks)

    def load_or_resume(self) -> None:
        """Load a checkpoint, or go on from one.

        Raises:
            FileNotFoundError: If there is none to go on from.
            CheckpointError: If the one that is named is damaged.
            ValueError: If it is of another training; names the settings.
        """
        if self._has_loaded or not self._resume:
            return super().load_or_resume()
        if self._load_from is None:
            path, content, faults = find_whole(self.work_dir)
            for fault in faults:
                self.logger.warning(f'{fault} Going on from {path} instead.')
        else:
            path, content = self._load_from, load_resumable(self._load_from)
        meta = content.pop('meta')
        del content
        changes = changed_settings(meta, self.cfg, self.world_size)
        if changes and not self.allow_changes:
            raise ValueError(explain_changes(str(path), changes))
        if changes:
            self.logger.warning(f'Going on with other settings: {"; ".join(changes)}')
        self.resume(str(path))
        self._go_on(meta)

    def _go_on(self, meta: dict[str, Any]) -> None:
        loop: Any = self.train_loop
        if isinstance(loop, ResumableTrainLoop):
            loop.validated = int(meta.get('validated', meta['epoch']))
            done = loop.iter - loop.epoch * len(loop.dataloader)
            if not 0 <= done <= len(loop.dataloader):
                # the epochs were of another length
                loop._iter = loop.epoch * len(loop.dataloader)
