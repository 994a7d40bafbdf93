from importlib.util import find_spec

import cv2
import numpy as np
import pytest
import torch

from bas_mm.analysis import sweep_benchmark
from bas_mm.analysis.sweep_benchmark import (
    KINDS,
    get_ways,
    one_core,
    sweep_by_definition,
    time_kinds,
    time_map,
)
from bas_mm.localization import contours, quantize_map
from bas_mm.localization.component_tree import numpy_only


def test_definition_by_hand():
    """Two squares at levels 1 and 0.5; the lower one is the larger."""
    pred_map = np.zeros((20, 20))
    pred_map[2:6, 2:6], pred_map[8:16, 8:16] = 1, 0.5
    gt_bboxes = np.array([[2, 2, 6, 6]])  # its far edge counts: 5 x 5
    largest, best = sweep_by_definition(pred_map, gt_bboxes, [0.2, 0.7])
    assert largest.tolist() == [0, 1] and best.tolist() == [1, 1]
    largest, best = sweep_by_definition(np.zeros((20, 20)), gt_bboxes, [0.2])
    assert largest.tolist() == best.tolist() == [0]


def test_a_wrong_sweep_stops_the_benchmark(monkeypatch):
    args = (np.random.default_rng(0).random((9, 9)), np.array([[1, 1, 5, 5]]), [0.5])
    assert len(time_map(*args)) == 2 + len(get_ways())
    monkeypatch.setattr(
        sweep_benchmark, 'sweep_contours', lambda *_: (np.ones(1), np.ones(1))
    )
    with pytest.raises(AssertionError):
        time_map(*args)


def test_all_kinds_are_timed():
    rows = dict(time_kinds(size=32, step=0.25, num=1))
    assert list(rows) == list(KINDS)
    assert all(
        row.shape == (2 + len(get_ways()),) and (row > 0).all() for row in rows.values()
    )


def test_the_ways():
    names = ['NumPy', *(['numba'] if find_spec('numba') else [])]
    assert list(get_ways()) == names
    with numpy_only():
        assert list(get_ways()) == ['NumPy']


def test_threads_come_back():
    before = cv2.getNumThreads(), torch.get_num_threads()
    with one_core():
        assert (cv2.getNumThreads(), torch.get_num_threads()) == (1, 1)
    assert (cv2.getNumThreads(), torch.get_num_threads()) == before


def test_a_ripple_has_many_summits():
    levels = quantize_map(
        KINDS['bumps with a ripple'](np.random.default_rng(0), 112), (112, 112)
    )
    every, largest = contours(levels)
    assert np.bincount(every.level).max() > 30
