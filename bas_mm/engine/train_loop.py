"""Epochs of training that can be resumed at any step."""

import copy
from typing import Any

import torch
from mmengine.dist import broadcast, get_world_size
from mmengine.runner import EpochBasedTrainLoop

from bas_mm.datasets.seeding import mix_seed, seed_all
from bas_mm.registry import LOOPS

#: First key of the randomness of a step, and of a sample.
STEP, SAMPLE = 0, 1


@LOOPS.register_module()
class ResumableTrainLoop(EpochBasedTrainLoop):
    """Training by epochs that goes on from any step.

    A resume in the middle of an epoch leaves out the batches that were
    trained, without loading them, and a validation that a kill cut off is
    done. With ``randomness.deterministic=True`` the randomness of each step
    and each sample follows from the seed, the epoch and the step alone, so
    that the resumed run is bit for bit the one that was not killed; without,
    it is drawn as mmengine does.

    Args:
        runner: The runner.
        dataloader: Config of the data loader, or a loader, which is then
            taken as it is: a resume in the middle of an epoch loads what it
            leaves out.
        **kwargs: Of mmengine's loop.
    """

    def __init__(self, runner: Any, dataloader: Any, **kwargs: Any) -> None:
        self._built_seed = runner.seed
        if isinstance(dataloader, dict):
            dataloader = resumable_config(dataloader, runner.deterministic)
        super().__init__(runner, dataloader, **kwargs)
        #: Epochs that had been trained at the last validation.
        self.validated = 0

    def run(self) -> torch.nn.Module:
        """Train, from the epoch and the step that were resumed."""
        self.runner.call_hook('before_train')
        self._follow_seed()
        whole = self._iter == self._epoch * len(self.dataloader)
        if whole and self.validated < self._epoch:
            self._decide_current_val_interval()
            self._validate()
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._decide_current_val_interval()
            self._validate()
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_epoch(self) -> None:
        """Train what is left of an epoch."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        done = self._iter - self._epoch * len(self.dataloader)
        batches = self._batches(done)
        for idx, data_batch in enumerate(batches, done):
            if self.runner.deterministic:
                seed_all(mix_seed(STEP, self.runner.seed, self._epoch, idx))
            self.run_iter(idx, data_batch)
        if self.runner.deterministic and get_world_size() > 1:
            # statistics of the processes differ, and the first one's are saved
            for buffer in self.runner.model.buffers():
                broadcast(buffer)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def _batches(self, done: int) -> Any:
        """Give the batches of the epoch from the given one on."""
        sampler: Any = getattr(self.dataloader, 'batch_sampler', None)
        if self.runner.deterministic:
            # what a sampler draws without a seed of its own
            seed_all(mix_seed(STEP, self.runner.seed, self._epoch))
        if not hasattr(sampler, 'skip'):
            batches = iter(self.dataloader)
            for _ in range(done):
                next(batches)
            return batches
        if self.runner.deterministic:
            sampler.keys = (SAMPLE, self.runner.seed, self._epoch)
        sampler.skip = done
        return self.dataloader

    def _validate(self) -> None:
        """Validate if it is time to."""
        if (
            self.runner.val_loop is not None
            and self._epoch >= self.val_begin
            and (
                self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs
            )
        ):
            self.runner.val_loop.run()
            self.validated = self._epoch

    def _follow_seed(self) -> None:
        """Shuffle by the seed of the checkpoint, where the config has none."""
        sampler: Any = getattr(self.dataloader, 'batch_sampler', None)
        sampler = getattr(sampler, 'sampler', None)
        if getattr(sampler, 'seed', None) == self._built_seed:
            sampler.seed = self.runner.seed


def resumable_config(dataloader: dict[str, Any], deterministic: bool) -> dict[str, Any]:
    """Make the config of a data loader one that can leave batches out.

    Args:
        dataloader: The config; it stays as it is.
        deterministic: Whether the randomness of a sample follows from its
            place in the run.

    Returns:
        The config for mmengine's builder; one without a batch size as it was.
    """
    cfg = copy.deepcopy(dataloader)
    if 'batch_size' not in cfg:
        return cfg
    batches = dict(type='bas_mm.ResumableBatchSampler')
    if cfg.get('batch_sampler') is not None:
        batches['base'] = cfg['batch_sampler']
    else:
        batches['drop_last'] = cfg.pop('drop_last', False)
    cfg['batch_sampler'] = batches
    if deterministic and isinstance(cfg['dataset'], dict):
        cfg['dataset'] = dict(type='bas_mm.SeededDataset', dataset=cfg['dataset'])
    return cfg
