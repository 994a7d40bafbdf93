import pytest
import torch

from bas_mm.models import sat_losses
from tests.helpers.models import make_samples
from tests.helpers.transformers import build_model

X = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
HEAD = dict(
    type='bas_mm.SATHead', tau=0.3, num_convs=0, kernel_size=3, final_relu=False
)
MODEL = dict(
    neck=dict(gates=True),
    backbone=dict(type='bas_mm.SATVisionTransformer', gated_layers=1),
)


def test_losses_by_a_loop():
    maps = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(1))
    total = 0.0
    for one in maps.tolist():
        for y in range(3):
            for x in range(4):
                g = 0.0
                for dy, wy in ((-1, 1), (0, 2), (1, 1)):
                    for dx, wx in ((-1, 1), (0, 2), (1, 1)):
                        row = one[min(max(y + dy, 0), 2)]
                        g += wy * wx / 16 * row[min(max(x + dx, 0), 3)]
                total += (1 - g) * g / 24
    losses = sat_losses(maps, 0.9)
    assert losses.keys() == {'norm', 'area'}
    assert losses['norm'].item() == pytest.approx(total, rel=1e-5)
    assert losses['area'].item() == pytest.approx(0.9 - maps.mean().item(), rel=1e-5)
    same = sat_losses(maps[:, None], 0.9)
    assert all(torch.equal(same[k], losses[k]) for k in losses)


@pytest.mark.parametrize('value, norm', [(0.0, 0.0), (1.0, 0.0), (0.5, 0.25)])
def test_constant_maps(value, norm):
    losses = sat_losses(torch.full((2, 5, 5), value), 0.25)
    assert losses['norm'].item() == pytest.approx(norm)
    assert losses['area'].item() == pytest.approx(abs(value - 0.25))


def test_the_area_is_that_of_the_batch():
    maps = torch.stack([torch.zeros(4, 4), torch.ones(4, 4)])
    assert sat_losses(maps, 0.5)['area'] == 0


def test_a_model():
    model = build_model(HEAD, **MODEL)
    with torch.no_grad():
        acts = model.head(model.neck(X))
        maps = model.class_maps(X, [0, 2])
    assert torch.equal(maps[:, 0], maps[:, 1])
    assert torch.equal(maps[:, 0], acts.feats[0].mean(1))
    losses = model.train().loss(X, make_samples(1, 2, 0))
    expected = sat_losses(acts.feats[0].mean(1), 0.3)
    for name, value in expected.items():
        torch.testing.assert_close(losses[f'loss_{name}'], value)
    torch.testing.assert_close(losses['fg_area'], acts.feats[0].mean())
    (losses['loss_norm'] + losses['loss_area']).backward()
    assert model.backbone.spatial_token.grad.abs().sum() > 0
    assert model.backbone.spatial_pos.grad.abs().sum() > 0
    assert model.backbone.cls_token.grad.abs().sum() > 0


def test_gates_are_needed():
    model = build_model(HEAD, backbone=MODEL['backbone'])
    with pytest.raises(ValueError, match=r'model\.neck\.gates=True'):
        model.predict(X, make_samples(1, 2, 0))


@pytest.mark.parametrize('tau', [0, 1, 25])
def test_no_share(tau):
    with pytest.raises(ValueError, match=rf'model\.head\.tau.*got {tau}'):
        build_model(dict(HEAD, tau=tau), **MODEL)
