"""What is counted as computed, beside torch's counter and plain arithmetic."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bas_mm.analysis.flops import Flops, best_rates, count_flops


def train(layer, x):
    x = x.clone().requires_grad_()
    return lambda: layer(x).sum().backward()


@pytest.mark.parametrize(
    'layer',
    [
        nn.Conv2d(4, 6, 3, stride=2, padding=1),
        nn.Conv2d(4, 6, (1, 3), dilation=2),
        nn.ConvTranspose2d(4, 6, 3, stride=2),
        nn.Linear(7, 5),
    ],
)
def test_as_torch_counts_where_there_are_no_groups(layer):
    work = train(layer, torch.rand(2, 4, 9, 7))
    with FlopCounterMode(display=False) as counter:
        work()
    assert count_flops(work) == Flops(counter.get_total_flops(), 0)


@pytest.mark.parametrize('kind', [nn.Conv2d, nn.ConvTranspose2d])
def test_groups_are_convolutions_side_by_side(kind):
    x = torch.rand(2, 6, 9, 7)
    whole = count_flops(train(kind(6, 4, 3, groups=2), x))
    half = count_flops(train(kind(3, 2, 3), x[:, :3]))
    assert whole == Flops(2 * half.dense, 0)


def test_a_filter_for_each_channel():
    x = torch.rand(2, 6, 9, 7)
    found = count_flops(train(nn.Conv2d(6, 6, 3, padding=1, groups=6), x))
    # forward, and gradients of weights and input
    assert found == Flops(0, 3 * 2 * 2 * 6 * 9 * 7 * 9)
    found = count_flops(train(nn.Conv2d(1, 6, 3, padding=1), x[:, :1]))
    assert found.dense and not found.depthwise  # one channel is no group


def test_what_needs_no_gradient_is_not_counted():
    layer, x = nn.Conv2d(3, 5, 1), torch.rand(2, 3, 4, 4)
    one_pass = 2 * 2 * 3 * 5 * 16
    assert count_flops(lambda: layer(x)).total == one_pass
    assert count_flops(lambda: layer(x).sum().backward()).total == 2 * one_pass
    layer.requires_grad_(False)
    assert count_flops(train(layer, x)).total == 2 * one_pass


def test_time_at_some_rates():
    flops = Flops(6e9, 2e9)
    assert flops.total == 8e9
    assert flops.seconds(Flops(3e9, 1e9)) == 4


def test_best_rates(monkeypatch):
    rates = best_rates(torch.device('cpu'), batch_size=1, sizes=())
    assert rates == (0, 0)  # of nothing
    seen = set()
    convolve = F.conv2d

    def conv2d(x, weight, padding, groups):
        seen.add((tuple(weight.shape), groups))
        return convolve(x, weight, padding=padding, groups=groups)

    monkeypatch.setattr(F, 'conv2d', conv2d)
    rates = best_rates(torch.device('cpu'), batch_size=1, sizes=(112,))
    assert min(rates) > 0
    assert seen == {
        ((64, 64, 1, 1), 1),
        ((64, 64, 3, 3), 1),
        ((64, 1, 3, 3), 64),
    }
