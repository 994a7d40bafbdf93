import math

import pytest
import torch

from bas_mm.models import EllipseMask, ellipse_mask


def draw(*params, size=(201, 201), sharpness=1e4):
    return ellipse_mask(torch.tensor([params], dtype=torch.double), size, sharpness)[0]


def test_by_loops():
    torch.manual_seed(0)
    params = torch.rand(3, 5, dtype=torch.double)
    masks = ellipse_mask(params, (4, 6), 7.0)
    assert masks.shape == (3, 4, 6)
    for mask, (cx, cy, p, q, t) in zip(masks, params.tolist()):
        angle = math.pi * (t - 0.5)
        for i in range(4):
            for j in range(6):
                dx, dy = j / 5 - cx, i / 3 - cy
                u = dx * math.cos(angle) + dy * math.sin(angle)
                v = dx * math.sin(angle) - dy * math.cos(angle)
                r = u**2 / (p / 2) ** 2 + v**2 / (q / 2) ** 2
                expected = 0.5 - math.atan(7 * (r - 1)) / math.pi
                assert mask[i, j].item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize('angle', [0.5, 0.3, 0.9])
def test_area(angle):
    mask = draw(0.5, 0.5, 0.6, 0.3, angle)
    assert mask.mean().item() == pytest.approx(math.pi * 0.3 * 0.15, rel=0.02)


def test_box_of_an_axis_aligned_ellipse():
    rows, cols = (draw(0.4, 0.5, 0.605, 0.207, 0.5) > 0.5).nonzero().T
    assert (cols.min().item(), cols.max().item()) == (20, 140)  # 0.4 -+ 0.3025
    assert (rows.min().item(), rows.max().item()) == (80, 120)  # 0.5 -+ 0.1035
    turned = draw(0.5, 0.5, 0.6, 0.2, 1.0)  # by a right angle
    torch.testing.assert_close(turned, draw(0.5, 0.5, 0.2, 0.6, 0.5))


def test_half_on_the_outline():
    value = draw(0.5, 0.5, 0.5, 0.25, 0.5, sharpness=50.0)[100, 150].item()
    assert value == pytest.approx(0.5, abs=1e-9)


def test_gradient():
    params = torch.rand(2, 5, dtype=torch.double) * 0.6 + 0.2
    sharpness = torch.tensor(5.0, dtype=torch.double)
    assert torch.autograd.gradcheck(
        lambda p, s: ellipse_mask(p, (5, 4), s),
        (params.requires_grad_(), sharpness.requires_grad_()),
    )


def test_an_axis_of_no_length_is_no_nan():
    params = torch.tensor([[0.5, 0.5, 0.0, 0.0, 0.5]], requires_grad=True)
    mask = ellipse_mask(params, (5, 5), 10.0)
    mask.sum().backward()
    assert torch.isfinite(mask).all() and torch.isfinite(params.grad).all()
    with pytest.raises(ValueError, match=r'params.*\(5,\); \(B, 5\) is needed'):
        ellipse_mask(params[0], (5, 5), 10.0)


def test_the_sharpness_is_learned():
    layer = EllipseMask((6, 7))
    params = torch.rand(2, 5)
    mask = layer(params)
    torch.testing.assert_close(mask, ellipse_mask(params, (6, 7), 10.0))
    mask[0, 0, 0].backward()
    assert layer.sharpness.grad is not None
