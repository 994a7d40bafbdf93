"""Randomness that depends on the place in a run alone, not on what ran before.

A run that is killed and resumed is bit for bit the run that was not if what
is drawn for a sample or a step follows from the seed, the epoch and the step.
"""

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.registry import DATA_SAMPLERS as ALL_SAMPLERS
from mmengine.registry import DATASETS as ALL_DATASETS
from torch.utils.data import BatchSampler, Dataset, Sampler

from bas_mm.registry import DATA_SAMPLERS, DATASETS


def mix_seed(*keys: int) -> int:
    """Give the seed of a place in a run.

    Args:
        *keys: Whole numbers of 0 or more that name it.

    Returns:
        32 bits that look random and differ where any key does.

    Example:
        >>> mix_seed(0, 1) == mix_seed(0, 1), mix_seed(0, 1) == mix_seed(1, 0)
        (True, False)
    """
    return int(np.random.SeedSequence(keys).generate_state(1)[0])


def seed_all(seed: int) -> None:
    """Seed Python, NumPy and PyTorch, on every device that is in use.

    Args:
        seed: 32 bits.
    """
    random.seed(seed)
    np.random.seed(seed)
    # `torch.manual_seed` formats a traceback where there is no GPU
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)


class SeededIndex(int):
    """Index of a sample, with the keys of the randomness of its transforms."""

    keys: tuple[int, ...]

    @classmethod
    def make(cls, index: int, *keys: int) -> 'SeededIndex':
        """Make an index with keys."""
        seeded = cls(index)
        seeded.keys = keys
        return seeded


@DATASETS.register_module()
class SeededDataset(Dataset):
    """A data set whose transforms draw what the :class:`SeededIndex` says.

    It is the same sample whichever worker loads it, after whatever else.
    All attributes are those of the data set within.

    Args:
        dataset: A data set, or its config.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = (
            ALL_DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        )

    def __getattr__(self, name: str) -> Any:
        if name == 'dataset':  # while it is being copied or unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        if isinstance(index, SeededIndex):
            seed_all(mix_seed(*index.keys))
        return self.dataset[int(index)]


@DATA_SAMPLERS.register_module()
class ResumableBatchSampler(Sampler[list[int]]):
    """Batches of an epoch, of which the first can be left out unloaded.

    Args:
        sampler: Gives the indices.
        batch_size: Samples in a batch.
        drop_last: Leave a last batch out that is not full.
        base: Config of another batch sampler, whose batches are taken.

    Attributes:
        skip (int): Batches that the next epoch leaves out; 0 afterwards.
        keys (tuple[int, ...] | None): Where they are given, the indices are
            :class:`SeededIndex`, by these keys, the process, the batch and the
            place in it.
    """

    def __init__(
        self,
        sampler: Sampler[int],
        batch_size: int,
        drop_last: bool = False,
        base: dict[str, Any] | None = None,
    ) -> None:
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.skip = 0
        self.keys: tuple[int, ...] | None = None
        self.batches: Any = BatchSampler(sampler, batch_size, drop_last)
        if base is not None:
            self.batches = ALL_SAMPLERS.build(
                dict(base), default_args=dict(sampler=sampler, batch_size=batch_size)
            )

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        skip, self.skip = self.skip, 0
        keys, rank = self.keys, get_rank()
        for step, batch in enumerate(
            itertools.islice(iter(self.batches), skip, None), skip
        ):
            yield _seeded(batch, (*keys, rank, step)) if keys else batch


def _seeded(batch: Sequence[int], keys: tuple[int, ...]) -> list[int]:
    return [SeededIndex.make(index, *keys, i) for i, index in enumerate(batch)]
