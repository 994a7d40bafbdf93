"""Randomness that follows from the place in a run."""

import pickle
import random

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.registry import DATA_SAMPLERS
from mmengine.runner import Runner
from torch.utils.data import BatchSampler

import bas_mm  # noqa: F401  its types are found by prefix
from bas_mm.datasets import ResumableBatchSampler, SeededDataset
from bas_mm.datasets.seeding import SeededIndex, mix_seed, seed_all
from bas_mm.engine.train_loop import resumable_config


class Draws(torch.utils.data.Dataset):
    """A data set whose samples are drawn, by every generator there is."""

    metainfo = dict(classes=['a'])

    def __len__(self):
        return 11

    def __getitem__(self, index):
        assert type(index) is int
        return index, random.random(), np.random.rand(), torch.rand(()).item()


def make_loader(workers):
    cfg = dict(
        dataset=Draws(),
        batch_size=4,
        num_workers=workers,
        sampler=dict(type='DefaultSampler', shuffle=True),
        collate_fn=dict(type=lambda batch: batch),
    )
    cfg = resumable_config(cfg, True)
    cfg['dataset'] = SeededDataset(cfg['dataset'])
    return Runner.build_dataloader(cfg, seed=5)


@pytest.mark.parametrize('workers', [0, 2])
def test_any_batch_is_the_same_whatever_came_before(workers):
    loader = make_loader(workers)
    loader.batch_sampler.keys = (1, 5, 0)
    whole = list(loader)
    assert [len(batch) for batch in whole] == [4, 4, 3] and len(loader) == 3
    again = make_loader(0)
    for skip in (0, 1, 2, 3):
        seed_all(skip)
        again.batch_sampler.keys, again.batch_sampler.skip = (1, 5, 0), skip
        assert list(again) == whole[skip:]
    assert list(again) == whole  # the skip was for one epoch
    again.batch_sampler.keys = (1, 5, 1)
    values = {
        sample[1:] for epoch in (whole, list(again)) for b in epoch for sample in b
    }
    assert len(values) == 22


def test_without_keys_it_is_the_stock_sampler():
    sampler = DefaultSampler(range(11), seed=3)
    for drop_last in (False, True):
        ours = ResumableBatchSampler(sampler, 4, drop_last)
        stock = BatchSampler(sampler, 4, drop_last)
        assert list(ours) == list(stock) and len(ours) == len(stock)


def test_another_batch_sampler_within():
    base = dict(type='BatchSampler', drop_last=True)
    if 'BatchSampler' not in DATA_SAMPLERS:
        DATA_SAMPLERS.register_module(module=BatchSampler)
    ours = ResumableBatchSampler(DefaultSampler(range(11), seed=3), 4, base=base)
    assert len(ours) == 2 == len(list(ours))


def test_a_seeded_index_travels():
    index = pickle.loads(pickle.dumps(SeededIndex.make(7, 1, 2)))
    assert index == 7 and index.keys == (1, 2)
    dataset = pickle.loads(pickle.dumps(SeededDataset(Draws())))
    assert dataset.metainfo == Draws.metainfo and len(dataset) == 11
    with pytest.raises(AttributeError, match='nothing'):
        getattr(dataset, 'nothing')  # noqa: B009


def test_seeds_differ():
    seeds = {mix_seed(0, epoch, step) for epoch in range(30) for step in range(30)}
    assert len(seeds) == 900 and max(seeds) < 2**32
