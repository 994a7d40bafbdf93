import numpy as np
import pytest
import torch

from bas_mm.evaluation.records import (
    class_mean,
    pack_counts,
    stack_records,
    topk_labels,
    unpack_counts,
)


def test_stack_records():
    table = stack_records([dict(a=1, b=b'x'), dict(a=2, b=b'yy')], 'Metric')
    assert table['a'].tolist() == [1, 2]
    assert table['b'].dtype == object and table['b'].tolist() == [b'x', b'yy']
    rows = stack_records([dict(a=np.zeros((2, 3), bool))] * 4, 'Metric')
    assert rows['a'].shape == (4, 2, 3) and rows['a'].dtype == bool
    assert stack_records([], 'Metric') == {}
    with pytest.raises(ValueError, match=r"Metric: .*\['a', 'b'\] and with \['a'\]"):
        stack_records([dict(a=1, b=2), dict(a=1)], 'Metric')


def test_topk_labels():
    assert topk_labels(torch.tensor([1.0, 3, 2]), 2).tolist() == [1, 2]
    assert topk_labels([1, 3, 3, 3], 2).tolist() == [1, 2]
    assert topk_labels([1, 2], 5).tolist() == [1, 0]
    assert topk_labels([np.nan, 2, np.nan], 5).tolist() == [1]
    assert topk_labels([], 5).tolist() == []


def test_class_mean():
    assert class_mean(np.array([1, 0, 1, 1.0]), [7, 7, 7, 2]) == (
        pytest.approx((2 / 3 + 1) / 2)
    )
    assert np.isnan(class_mean(np.zeros(0), []))


def test_counts_survive_packing():
    counts = np.array([[0, 1, 255], [256, 70000, 2**32 - 1]])
    total = unpack_counts([pack_counts(counts)] * 3, (2, 3))
    assert total.dtype == np.int64 and (total == 3 * counts).all()
    assert (unpack_counts([], (2, 3)) == np.zeros((2, 3))).all()
