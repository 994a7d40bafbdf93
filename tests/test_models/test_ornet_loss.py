import math

import pytest
import torch

from bas_mm.models import ORNetLoss, ornet_losses


@pytest.mark.parametrize('classes', [3, 4, 10, 40])
def test_by_loops(classes):
    torch.manual_seed(0)
    attention = torch.rand(2, 1, 3, 4)
    logits, maps = torch.randn(2, classes), torch.randn(2, classes, 3, 4)
    losses = ornet_losses(attention, logits, maps)
    entropy, area = 0.0, 0.0
    for a in attention.flatten().tolist():
        binary = -a * math.log(a) - (1 - a) * math.log(1 - a)
        entropy += binary * math.exp(-((a - 0.5) ** 2) / (2 * 0.1**2)) / 24
    for i in range(2):
        ranked = sorted(range(classes), key=lambda c: -logits[i, c])
        area += sum(maps[i, c].mean().item() for c in ranked[3:25]) / 2
    assert losses['entropy'].item() == pytest.approx(entropy, rel=1e-5)
    area += attention.mean().item()
    assert losses['area'].item() == pytest.approx(area, rel=1e-4)


def test_attention_of_0_and_1_has_a_gradient_and_no_entropy():
    attention = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2).requires_grad_()
    losses = ornet_losses(attention, torch.zeros(1, 5), torch.zeros(1, 5, 1, 2))
    assert losses['entropy'].item() == pytest.approx(0, abs=1e-6)
    sum(losses.values()).backward()
    assert torch.isfinite(attention.grad).all()


def test_weights():
    args = (torch.rand(1, 1, 2, 2), torch.randn(1, 8), torch.randn(1, 8, 2, 2))
    plain, ours = ornet_losses(*args), ORNetLoss(2.0, 3.0)(*args)
    torch.testing.assert_close(ours['loss_entropy'], 2 * plain['entropy'])
    torch.testing.assert_close(ours['loss_area'], 3 * plain['area'])
