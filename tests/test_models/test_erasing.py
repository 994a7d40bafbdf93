import pytest
import torch

from bas_mm.models import attentive_erasing, keep_below


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


def erase_in_a_loop(attention, generator, rate, depth, margin):
    """Attentive erasing, cell by cell; draws the same numbers."""
    b, _, h, w = attention.shape
    share = depth * torch.rand(1, generator=generator)
    chosen = torch.rand(b, generator=generator)
    sides = torch.rand(b, 2, generator=generator)
    stay = torch.rand(b, 1, h, w, generator=generator)
    out = 0.6 * attention + 0.2
    for i in range(b):
        a = 0.6 * attention[i, 0] + 0.2
        cut = a.max() - (a.max() - a.min()) * share
        high = [(y, x) for y in range(h) for x in range(w) if a[y, x] > cut]
        if chosen[i] >= rate or not high:
            continue
        peak = max(high, key=lambda at: a[at])
        half = []
        for axis in range(2):
            at = [place[axis] for place in high]
            most = max(margin, (max(at) - min(at) + 1) // 2)
            half.append(margin + int(sides[i, axis] * (most - margin + 1)))
        for y, x in high:
            near = abs(y - peak[0]) <= half[0] and abs(x - peak[1]) <= half[1]
            if near and stay[i, 0, y, x] >= 1 - a[y, x]:
                out[i, 0, y, x] = 0
    return out


@pytest.mark.parametrize('size', [(12, 9), (5, 20)])
@pytest.mark.parametrize('margin', [1, 4])
def test_attentive_erasing_is_that_of_a_loop(size, margin):
    torch.manual_seed(0)
    erased = []
    for seed in range(20):
        x = torch.rand(6, 1, *size)
        # some with a hill, so that what is high lies together
        y, z = (torch.linspace(-1, 1, n) for n in size)
        x[:3, 0] = 0.1 * x[:3, 0] + 0.9 * torch.exp(-(y[:, None] ** 2) - z**2)
        ours, theirs = (torch.Generator().manual_seed(seed) for _ in range(2))
        options = dict(rate=0.5, depth=0.5, margin=margin)
        out = attentive_erasing(x, ours, **options)
        torch.testing.assert_close(out, erase_in_a_loop(x, theirs, **options))
        erased.append((out == 0).flatten(1).any(1))
    erased = torch.stack(erased).float()
    assert 0.35 < erased.mean() < 0.6  # half of the images, unless nothing is hit


def test_no_gradient_comes_back_from_what_is_erased():
    x = torch.rand(8, 1, 16, 16, requires_grad=True)
    out = attentive_erasing(x, torch.Generator().manual_seed(0), rate=1.0)
    out.sum().backward()
    assert (out == 0).any() and (out > 0).any()
    torch.testing.assert_close(x.grad, 0.6 * (out > 0).float())


@pytest.mark.parametrize('value', [0.0, 0.5, 1.0])
def test_nothing_of_a_constant_map_is_erased(value):
    x = torch.full((4, 1, 6, 6), value)
    torch.testing.assert_close(attentive_erasing(x, rate=1.0), 0.6 * x + 0.2)


def test_without_erasing_the_attention_is_drawn_in():
    x = torch.rand(4, 1, 6, 6)
    for options in (dict(rate=0.0), dict(depth=0.0)):
        torch.testing.assert_close(attentive_erasing(x, **options), 0.6 * x + 0.2)


def test_high_places_are_erased_more_often():
    """With the probability of what they are: 0.8 at the peak."""
    x = torch.zeros(4000, 1, 1, 3)
    x[..., 1:] = torch.tensor([0.9, 1.0])
    out = attentive_erasing(x, torch.Generator().manual_seed(0), rate=1.0)
    gone = (out == 0).float().mean((0, 1, 2))
    assert gone[0] == 0
    assert gone[2].item() == pytest.approx(0.8, abs=0.03)
