import pytest
import torch

from bas_mm.models import keep_below


def test_of_the_maximum():
    x = torch.tensor([[[[0.0, 1.0], [2.0, 4.0]]], [[[8.0, 7.0], [0.5, 4.0]]]])
    keep = keep_below(x, 0.5)
    assert keep.dtype == torch.bool and keep.shape == (2, 1, 2, 2)
    assert keep.flatten().tolist() == [1, 1, 0, 0, 0, 0, 1, 0]  # strictly below
    assert torch.equal(keep_below(3 * x, 0.5), keep)
    assert not keep_below(x, 0.0).any()  # nothing is below 0
    assert keep_below(x, 1.01).all()


def test_of_the_range():
    torch.manual_seed(0)
    x = torch.randn(4, 1, 5, 7)
    keep = keep_below(x, 0.6, relative='range')
    for one, kept in zip(x, keep):
        level = (one - one.min()) / (one.max() - one.min())
        assert torch.equal(kept, level < 0.6)
    assert torch.equal(keep_below(2 * x + 8, 0.6, relative='range'), keep)
    # the maximum goes for every threshold up to 1, and alone at 1
    assert (~keep_below(x, 1.0, relative='range')).sum((1, 2, 3)).tolist() == [1] * 4
    assert keep_below(x, 1.01, relative='range').all()
    assert not keep_below(x, 0.0, relative='range').any()


@pytest.mark.parametrize('value', [-2.0, 0.0, 5.0])
def test_a_constant_map(value):
    x = torch.full((1, 1, 3, 3), value)
    assert keep_below(x, 0.7, relative='range').all()  # nothing stands out
    assert keep_below(x, 0.7).all() == (value < 0)


def test_another_relative_is_refused():
    with pytest.raises(ValueError, match=r"`relative`.*'max'.*'range'.*got 'mean'"):
        keep_below(torch.zeros(1, 1, 2, 2), 0.5, relative='mean')
