import subprocess
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from bas_mm import localization as loc
from bas_mm.analysis.sweep_benchmark import GT_BBOXES, KINDS
from bas_mm.localization import component_tree
from bas_mm.localization.component_tree import get_compiled, numpy_only

NUMBA = dict(reason='numba is not installed (the extra `fast`)')


def both_ways(function, *args):
    """What a function gives with the compiled loops, and in NumPy."""
    pytest.importorskip('numba', **NUMBA)
    assert get_compiled()
    with numpy_only():
        assert get_compiled() is None
        expected = function(*args)
    return function(*args), expected


def counted(components):
    """Components in one order, each once, and how often it is there."""
    table = np.column_stack([components.level, components.boxes])
    return np.unique(table, axis=0, return_counts=True)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('size', [1, 2, 31, 80])
def test_same_components(kind, size):
    levels = loc.quantize_map(
        KINDS[kind](np.random.default_rng(0), max(size, 4))[:size], (size, size + 3)
    )
    (every, largest), (expected, indices) = both_ways(loc.contours, levels)
    for one, other in zip(counted(every), counted(expected)):
        np.testing.assert_array_equal(one, other)
    assert every.boxes[largest].tolist() == expected.boxes[indices].tolist()
    assert every.level[largest].tolist() == expected.level[indices].tolist()
    ours, theirs = both_ways(loc.largest_components, levels)
    assert ours.level.tolist() == theirs.level.tolist()
    assert ours.boxes.tolist() == theirs.boxes.tolist()


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('step', [0.001, 0.01])
def test_same_sweep_to_the_last_bit(kind, step):
    pred_map, size = KINDS[kind](np.random.default_rng(1), 61), (61, 61)
    rising = loc.threshold_grid(step)
    for gt_bboxes in (GT_BBOXES * 61 + 0.3, np.zeros((0, 4))):
        ours, theirs = both_ways(
            loc.sweep_contours, pred_map, size, gt_bboxes, rising, 'bicubic'
        )
        np.testing.assert_array_equal(ours, theirs)
    ours, theirs = both_ways(loc.sweep_largest, pred_map, size, rising)
    np.testing.assert_array_equal(ours, theirs)


def test_plateaus_in_holes_at_the_ends_of_hills():
    """Nested holes filled at several levels, an island in each, and slopes."""
    y, x = np.mgrid[:60, :90]
    waves = np.maximum(abs(x - 45), abs(y - 30)) // 5 % 2 * 6
    for slope in (x // 9, y // 7, (x + y) // 15, abs(x - y) // 10):
        levels = (waves + slope).astype(np.uint8)
        (every, largest), (expected, indices) = both_ways(loc.contours, levels)
        assert every.boxes[largest].tolist() == expected.boxes[indices].tolist()
        for level in range(1, int(levels.max()) + 1):
            mask = (levels >= level).astype(np.uint8)
            found = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]
            assert len(found) == (every.level == level).sum()


def no_cache_folder(**_):
    raise RuntimeError('cannot cache function: no locator available for file')


@pytest.mark.parametrize('numba', [None, SimpleNamespace(njit=no_cache_folder)])
def test_numpy_where_numba_cannot_be_used(monkeypatch, numba):
    monkeypatch.setitem(sys.modules, 'numba', numba)
    monkeypatch.delitem(sys.modules, 'bas_mm.localization.compiled', raising=False)
    monkeypatch.delattr(loc, 'compiled', raising=False)
    component_tree._import_compiled.cache_clear()
    try:
        assert get_compiled() is None
        assert loc.contours(np.array([[0, 2]]))[0].level.tolist() == [1, 2]
    finally:
        component_tree._import_compiled.cache_clear()


def test_numba_waits_for_the_first_sweep():
    pytest.importorskip('numba', **NUMBA)
    code = (
        'import sys, bas_mm, bas_mm.localization as loc\n'
        'assert "numba" not in sys.modules\n'
        'loc.sweep_contours([[0, 1]], (1, 2), [[0, 0, 1, 1]], [0.5])\n'
        'assert "numba" in sys.modules'
    )
    subprocess.run([sys.executable, '-c', code], check=True)
