import math

import cv2
import numpy as np
import pytest
import torch

from bas_mm.models import SPGHead, spg_losses
from bas_mm.models.heads.spg_head import trimap
from tests.helpers.models import build_model, make_samples

TAPS = ['layer2', 'layer3']


def up(x, size):
    """Bilinear by OpenCV, of one map."""
    return cv2.resize(x.double().numpy(), size[::-1], interpolation=cv2.INTER_LINEAR)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def reference(teachers, logits, high, low):
    """Mean cross-entropy over the sure pixels of a batch, pixel by pixel."""
    total, count = 0.0, 0
    for teacher, logit in zip(teachers, logits):
        bar = high if (teacher > high).sum() >= 30 else 0.7 * teacher.max()
        for t, z in zip(teacher.flat, logit.flat):
            if t < low:
                total, count = total - math.log(1 - sigmoid(z)), count + 1
            elif t > bar:
                total, count = total - math.log(sigmoid(z)), count + 1
    return total / count if count else 0.0


def test_losses_by_loops():
    torch.manual_seed(0)
    size = (28, 20)
    label_map = torch.randn(2, 7, 5)
    b1, b2, c = (torch.randn(2, 1, 7 * n, 5 * n) for n in (2, 1, 1))
    ups = [[up(x[0], size) for x in one] for one in (b1, b2, c)]
    attention = [up(x, size) for x in label_map]
    attention = [(a - a.min()) / (a.max() - a.min()) for a in attention]
    deep = [sigmoid(x) for x in ups[1]]
    fused = [(sigmoid(x) + sigmoid(y)) / 2 for x, y in zip(*ups[:2])]
    losses = spg_losses(label_map, b1, b2, c, size)
    assert set(losses) == {'b2', 'b1', 'c'}
    expected = dict(
        b2=reference(attention, ups[1], 0.7, 0.05),
        b1=reference(deep, ups[0], 0.5, 0.05),
        c=reference(fused, ups[2], 0.7, 0.1),
    )
    for name, value in expected.items():
        assert losses[name].item() == pytest.approx(value, rel=1e-4), name


def test_trimap_table():
    # 30 above: the bound is the bound, and what equals one is unsure
    row = torch.tensor([0.9] * 30 + [0.7, 0.5, 0.1, 0.0])[None, None]
    foreground, sure = trimap(row, 0.7, 0.1)
    assert foreground[0, 0].tolist() == [True] * 30 + [False] * 4
    assert sure[0, 0].tolist() == [True] * 30 + [False, False, False, True]


def test_rule_of_thirty_for_each_image():
    spike = torch.zeros(2, 10, 10)
    spike[0, 0, :3] = torch.tensor([1.0, 0.72, 0.69])
    spike[1, :4] = 0.71  # 40 pixels: the bound stays
    foreground, sure = trimap(spike, 0.7, 0.05)
    assert foreground[0].sum() == 2 and foreground[1].sum() == 40
    assert sure[0].sum() == 99  # all but the pixel between
    foreground, _ = trimap(spike / 100, 0.7, 0.05)  # lowered below `low`
    assert not foreground.any()


def test_a_constant_map_is_background():
    logits = [torch.zeros(1, 1, 4, 4, requires_grad=True) for _ in range(3)]
    losses = spg_losses(torch.full((1, 4, 4), 5.0), *logits, (8, 8))
    torch.testing.assert_close(losses['b2'].item(), math.log(2), rtol=1e-6, atol=0)
    sum(losses.values()).backward()
    assert all(torch.isfinite(x.grad).all() for x in logits)


@pytest.mark.parametrize('side, size', [(25, 299), (12, 321), (1, 224), (14, 224)])
def test_a_constant_map_is_background_at_any_size(side, size):
    zeros = torch.zeros(1, 1, 4, 4)
    for value in (-0.434, 0.1, 3.3):
        label_map = torch.full((1, side, side), value)
        found = spg_losses(label_map, zeros, zeros - 2, zeros, (size, size))
        plain = spg_losses(0 * label_map, zeros, zeros - 2, zeros, (size, size))
        assert found['b2'] == plain['b2'] < 0.2


def test_empty_mask_is_no_nan(monkeypatch):
    monkeypatch.setattr(
        'bas_mm.models.heads.spg_head.trimap', lambda a, *_: (a > 2, a > 2)
    )
    assert not trimap(torch.zeros(1, 4, 4), 0.7, 0.0)[1].any()  # it can be empty
    logits = [torch.randn(1, 1, 4, 4, requires_grad=True) for _ in range(3)]
    losses = spg_losses(torch.rand(1, 4, 4), *logits, (8, 8))
    assert [x.item() for x in losses.values()] == [0, 0, 0]
    sum(losses.values()).backward()
    assert not any(x.grad.any() for x in logits)


def test_who_teaches_gets_no_gradient():
    torch.manual_seed(0)
    label_map = torch.rand(1, 5, 5, requires_grad=True)
    b1, b2, c = (torch.randn(1, 1, 5, 5, requires_grad=True) for _ in range(3))
    losses = spg_losses(label_map, b1, b2, c, (20, 20))
    for name, own in (('b1', b1), ('b2', b2), ('c', c)):
        grads = torch.autograd.grad(
            losses[name], (label_map, b1, b2, c), retain_graph=True, allow_unused=True
        )
        moved = [x for x, g in zip((label_map, b1, b2, c), grads) if g is not None]
        assert [x is own for x in moved] == [True], name


def test_low_precision_is_computed_in_float32():
    maps = [torch.randn(1, 1, 4, 4) for _ in range(3)]
    half = spg_losses(
        torch.rand(1, 4, 4).bfloat16(), *(m.bfloat16() for m in maps), (8, 8)
    )
    assert all(x.dtype == torch.float32 for x in half.values())


def test_in_a_model():
    model = build_model(
        'CAM',
        'tiny',
        neck=dict(taps=TAPS),
        type='bas_mm.SPGHead',
        tap_channels=(8, 16),
        side_channels=6,
        mask_channels=7,
        clamp_weights=True,
    )
    inputs, samples = torch.randn(2, 3, 64, 64), make_samples(0, 1)
    losses = model.train().loss(inputs, samples)
    assert {'loss_cls', 'loss_b1', 'loss_b2', 'loss_c'} <= set(losses)
    total = sum(v for k, v in losses.items() if 'loss' in k)
    total.backward()
    assert all(p.grad is not None for p in model.parameters())
    model.zero_grad()
    model.cls_only = True
    model.loss(inputs, samples)['loss_cls'].backward()
    assert all(p.grad is not None for p in model.parameters())
    assert not any(p.grad.any() for p in model.head.side_head.parameters())
    # at test time it is its classifier alone, whose map is CAM's
    cam = build_model('CAM', 'tiny', neck=dict(taps=TAPS), final_relu=False)
    state = {k: v for k, v in model.state_dict().items() if k in cam.state_dict()}
    cam.load_state_dict(state)
    model.head.clamp_weights = False
    calls = []
    model.head.side_head.classifier.register_forward_hook(lambda *_: calls.append(1))
    ours = model.eval().predict(inputs, samples)
    assert not calls
    theirs = cam.eval().predict(inputs, make_samples(0, 1))
    for a, b in zip(ours, theirs):
        torch.testing.assert_close(a.pred_map, b.pred_map)
        torch.testing.assert_close(a.pred_score, b.pred_score)


def test_errors():
    with pytest.raises(ValueError, match=r'tap_channels.*two.*got \[4\]'):
        SPGHead(3, 4, tap_channels=[4])
    model = build_model(
        'CAM', 'tiny', type='bas_mm.SPGHead', tap_channels=(8, 16), side_channels=6
    )
    with pytest.raises(ValueError, match=r'two taps.*there are 0.*model\.neck\.taps'):
        model.loss(torch.randn(2, 3, 64, 64), make_samples(0, 1))
