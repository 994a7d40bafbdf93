from collections import Counter

import pytest
from mmengine.registry import DATA_SAMPLERS

from bas_mm.datasets import PairedClassSampler


class Data:
    """A data set that knows its labels."""

    def __init__(self, labels):
        self.labels = labels

    def __len__(self):
        return len(self.labels)

    def get_data_info(self, index):
        return dict(gt_label=self.labels[index])


LABELS = [0, 2, 1, 0, 2, 0, 2, 2, 2, 7, 2]  # 3, 1, 6 and 1 images


def draw(sampler, epoch=0):
    sampler.set_epoch(epoch)
    indices = list(sampler)
    assert len(indices) == len(sampler)
    return list(zip(indices[0::2], indices[1::2]))


@pytest.mark.parametrize('seed', range(5))
def test_pairs_of_one_class_and_every_image(seed):
    pairs = draw(PairedClassSampler(Data(LABELS), seed=seed))
    assert all(LABELS[a] == LABELS[b] for a, b in pairs)
    counts = Counter(i for pair in pairs for i in pair)
    assert set(counts) == set(range(11))
    # an image of the class of three comes twice, and so do the lonely ones
    assert Counter(counts.values()) == {1: 8, 2: 3}
    assert [a for a, b in pairs if a == b] in ([2, 9], [9, 2])


def test_rounds_hold_each_class_once():
    pairs = draw(PairedClassSampler(Data(LABELS), seed=3))
    labels = [LABELS[a] for a, _ in pairs]
    assert sorted(labels[:4]) == [0, 1, 2, 7]
    assert sorted(labels[4:6]) == [0, 2] and labels[6] == 2


def test_epochs_and_seeds_differ_and_repeat():
    data = Data(LABELS)
    sampler = PairedClassSampler(data, seed=0)
    first = draw(sampler)
    assert draw(sampler, 1) != first
    assert draw(sampler, 0) == first
    assert draw(PairedClassSampler(data, seed=1)) != first


def test_processes_share_the_pairs(monkeypatch):
    data, found = Data(LABELS), []
    for rank in range(3):
        monkeypatch.setattr(
            'bas_mm.datasets.samplers.get_dist_info', lambda rank=rank: (rank, 3)
        )
        found.append(draw(PairedClassSampler(data, seed=0)))
    assert [len(x) for x in found] == [3, 3, 3]  # seven pairs, two again
    monkeypatch.undo()
    alone = draw(PairedClassSampler(data, seed=0))
    together = [pair for three in zip(*found) for pair in three]
    assert together == alone + alone[:2]


def test_it_is_registered_and_does_not_go_without_drawing():
    build = dict(type='bas_mm.PairedClassSampler', dataset=Data(LABELS), seed=0)
    assert isinstance(
        DATA_SAMPLERS.build(dict(build, shuffle=True)), PairedClassSampler
    )
    with pytest.raises(ValueError, match='always draws.*shuffle=False'):
        DATA_SAMPLERS.build(dict(build, shuffle=False))
