import math

import pytest
import torch

import bas_mm
from bas_mm.models import ADL, adl_maps
from tests.helpers.models import build_model, make_samples


def test_maps_are_those_of_the_definition():
    torch.manual_seed(0)
    x = torch.rand(3, 5, 4, 6)
    importance, drop = adl_maps(x, 0.8)
    for b in range(3):
        attention = sum(x[b, n] for n in range(5)) / 5
        peak = max(float(v) for v in attention.flatten())
        for i in range(4):
            for j in range(6):
                a = float(attention[i, j])
                assert float(importance[b, 0, i, j]) == pytest.approx(
                    1 / (1 + math.exp(-a)), rel=1e-5
                )
                assert float(drop[b, 0, i, j]) == (a < 0.8 * peak)
    assert importance.shape == drop.shape == (3, 1, 4, 6)
    # the mask follows no positive factor, the importance does
    scaled, dropped = adl_maps(4 * x, 0.8)
    assert torch.equal(dropped, drop) and not torch.allclose(scaled, importance)


def test_the_mask_is_a_constant_and_the_importance_is_not():
    x = torch.rand(1, 2, 3, 3, requires_grad=True)
    importance, drop = adl_maps(x, 0.9)
    assert not drop.requires_grad
    (grad,) = torch.autograd.grad(importance.sum(), x)
    slope = (importance * (1 - importance) / 2).expand_as(x)
    torch.testing.assert_close(grad, slope.detach())
    ADL(drop_rate=1.0, threshold=0.5)(x).sum().backward()
    torch.testing.assert_close(x.grad, adl_maps(x, 0.5)[1].expand_as(x))


@pytest.mark.parametrize('value', [0.0, 3.0])
def test_constant_attention_drops_everything(value):
    _, drop = adl_maps(torch.full((2, 3, 4, 4), value), 0.9)
    assert not drop.any()


def test_before_a_relu_nothing_may_be_dropped():
    x = torch.tensor([[[[-1.0, -2.0, -4.0]]]])
    assert adl_maps(x, 0.9)[1].all()  # 0.9 of -1 is above all
    assert adl_maps(x, 0.9, relative='range')[1].flatten().tolist() == [0, 1, 1]


def test_the_draw():
    x = torch.rand(2, 3, 4, 4)
    importance, drop = (x * one for one in adl_maps(x, 0.5))
    torch.manual_seed(0)
    always, never = ADL(1.0, 0.5), ADL(0.0, 0.5)
    for _ in range(50):
        assert torch.equal(always(x), drop) and torch.equal(never(x), importance)
    layer, n = ADL(0.75, 0.5), 2000
    share = sum(torch.equal(layer(x), drop) for _ in range(n)) / n
    assert abs(share - 0.75) < 3 * math.sqrt(0.75 * 0.25 / n)


def test_nothing_happens_at_test_time_and_without_gradient():
    x = torch.rand(2, 3, 4, 4)
    layer = ADL(1.0, 0.1)
    assert not torch.equal(layer(x), x)
    with torch.no_grad():
        assert layer(x) is x  # BatchNorm is calibrated on what a test sees
    assert layer.eval()(x) is x
    assert not layer.state_dict()


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(drop_rate=1.5), r'`drop_rate`.*inserts.*between 0 and 1, got 1.5'),
        (dict(threshold=-1), r'`threshold`.*between 0 and 1, got -1'),
        (dict(relative='mean'), r"`relative`.*'max'.*'range'.*got 'mean'"),
    ],
)
def test_bad_options(kwargs, message):
    with pytest.raises(ValueError, match=message):
        ADL(**kwargs)


@pytest.mark.parametrize('method', ['CAM', 'BAS'])
def test_its_checkpoint_is_that_of_the_plain_model(method):
    assert bas_mm.ADL is ADL
    insert = {'layer3.0': dict(type='bas_mm.ADL'), 'layer4': dict(type='bas_mm.ADL')}
    plain = build_model(method, 'tiny')
    model = build_model(method, 'tiny', neck=dict(inserts=insert))
    model.load_state_dict(plain.state_dict())
    model.train()
    losses = model.loss(torch.randn(2, 3, 64, 64), make_samples(0, 1))
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    views = torch.randn(2, 3, 64, 64)
    plain.load_state_dict(model.state_dict())  # BatchNorm has moved on
    plain.eval(), model.eval()
    with torch.no_grad():
        assert torch.equal(plain(views), model(views))
