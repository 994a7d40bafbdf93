import math

import pytest
import torch
import torch.nn.functional as F

from bas_mm.models import C2AMLoss, c2am_losses


def cosine(a, b):
    value = F.cosine_similarity(a, b, dim=0).item()
    return min(max(value, 0.0005), 0.9995)


def pull(x, alpha):
    total = 0.0
    for i, one in enumerate(x):
        others = [j for j in range(len(x)) if j != i]
        others.sort(key=lambda j: -F.cosine_similarity(one, x[j], dim=0).item())
        total -= math.log(0.9995) * math.exp(alpha)  # itself, rank -1
        for rank, j in enumerate(others):
            total -= math.log(cosine(one, x[j])) * math.exp(-alpha * rank)
    return total / len(x) ** 2


@pytest.mark.parametrize('images', [1, 2, 6])
def test_by_loops(images):
    torch.manual_seed(0)
    fg, bg = torch.randn(images, 4), torch.randn(images, 4).abs()
    losses = c2am_losses(fg, bg, 0.25)
    push = [-math.log(1 - cosine(a, b)) for a in fg for b in bg]
    assert losses['push'].item() == pytest.approx(sum(push) / len(push), rel=1e-4)
    assert losses['pull_fg'].item() == pytest.approx(pull(fg, 0.25), rel=1e-4)
    assert losses['pull_bg'].item() == pytest.approx(pull(bg, 0.25), rel=1e-4)


def test_what_is_known():
    fg = torch.tensor([[1.0, 0.0], [3.0, 0.0]])
    same = c2am_losses(fg, fg, 0.05)
    assert same['push'].item() == pytest.approx(-math.log(0.0005), rel=1e-3)
    assert same['pull_fg'] < 1e-3
    apart = c2am_losses(fg, fg.flip(1), 0.05)
    assert all(loss < 1e-3 for loss in apart.values())
    zeros = torch.zeros(2, 2, requires_grad=True)
    nothing = sum(c2am_losses(zeros, zeros, 0.05).values())
    nothing.backward()
    assert torch.isfinite(nothing) and torch.isfinite(zeros.grad).all()


def test_features_under_a_map():
    torch.manual_seed(0)
    feat, fg_map = torch.rand(3, 4, 2, 5), torch.rand(3, 1, 2, 5)
    losses = C2AMLoss(alpha=0.3)(feat, fg_map)
    fg = torch.einsum('bnhw,bhw->bn', feat, fg_map[:, 0]) / 10
    bg = torch.einsum('bnhw,bhw->bn', feat, 1 - fg_map[:, 0]) / 10
    for name, value in c2am_losses(fg, bg, 0.3).items():
        torch.testing.assert_close(losses[f'loss_{name}'], value)
