"""How images are drawn: in pairs of one class."""

import math
from collections.abc import Iterator, Sized
from typing import Any

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from bas_mm.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class PairedClassSampler(Sampler):
    """Gives images in pairs of one class, one after the other.

    In each epoch every image comes once. In a class with an odd number of them
    one comes a second time; a class's only image is paired with itself.
    The pairs come in rounds with one pair of each class that has any left, so
    that a batch holds as many classes as it can. Several processes share the
    pairs; some come again where they cannot be shared evenly. Batches must be
    even, so that no pair is torn.

    Args:
        dataset: A data set whose items' info has ``gt_label``.
        seed: Seed of the order, the same in all processes. None: drawn.
        shuffle: Must be True, as configs have it: pairs are always drawn.

    Raises:
        ValueError: If ``shuffle`` is False.
    """

    def __init__(
        self, dataset: Sized, seed: int | None = None, shuffle: bool = True
    ) -> None:
        if not shuffle:
            raise ValueError(
                'PairedClassSampler always draws its pairs: leave shuffle=False out of '
                '`train_dataloader.sampler`.'
            )
        self.rank, self.world_size = get_dist_info()
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0
        data: Any = dataset
        labels = np.array([data.get_data_info(i)['gt_label'] for i in range(len(data))])
        order = labels.argsort(kind='stable')
        ends = np.flatnonzero(np.diff(labels[order])) + 1
        #: Indices of each class's images.
        self.members = np.split(order, ends)
        pairs = sum(math.ceil(len(one) / 2) for one in self.members)
        #: Pairs of this process.
        self.num_pairs = math.ceil(pairs / self.world_size)

    def __iter__(self) -> Iterator[int]:
        """Give the indices of this process, two of one class after the other."""
        rng = np.random.default_rng([self.seed, self.epoch])
        pairs, rounds = [], []
        for members in self.members:
            drawn = rng.permutation(members)
            if len(drawn) % 2:
                others = drawn[:-1] if len(drawn) > 1 else drawn
                drawn = np.append(drawn, rng.choice(others))
            pairs.append(drawn.reshape(-1, 2))
            rounds.append(np.arange(len(drawn) // 2))
        # by round, in a new order of the classes in each
        turn = np.concatenate(rounds)
        order = np.lexsort((rng.random(len(turn)), turn))
        total = self.num_pairs * self.world_size
        mine = np.resize(order, total)[self.rank :: self.world_size]
        return iter(np.concatenate(pairs)[mine].flatten().tolist())

    def __len__(self) -> int:
        """Number of images of this process."""
        return 2 * self.num_pairs

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, on which the order depends."""
        self.epoch = epoch
