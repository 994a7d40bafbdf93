import pytest
import torch

from bas_mm.apis.model import brings_classifier
from bas_mm.models import LOSTHead, TokenCutHead, lost, token_cut
from bas_mm.models.heads.discovery_head import component_of
from tests.helpers.components import flood
from tests.helpers.models import make_samples
from tests.helpers.transformers import build_model

X = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
HEADS = dict(LOSTHead=lost, TokenCutHead=token_cut)


@pytest.mark.parametrize('seed', range(6))
def test_components(seed):
    rng = torch.Generator().manual_seed(seed)
    mask = torch.rand(6, 7, generator=rng) > 0.4
    place = int(torch.randint(42, (1,), generator=rng))
    found = component_of(mask, place)
    assert found.tolist() == flood(mask.tolist(), place)
    assert found.flatten()[place]


@pytest.mark.parametrize('kind', HEADS)
def test_a_model(kind):
    model = build_model(dict(type=f'bas_mm.{kind}'), neck=dict(keys=-1))
    assert not list(model.head.parameters())
    with torch.no_grad():
        keys = model.neck(X)[0]
        out = model.predict(X)  # no label is needed
        maps = model.class_maps(X, [0, 2])
    expected = HEADS[kind](keys).float()
    assert torch.equal(maps, expected[:, None].expand(-1, 2, -1, -1))
    for one, sample in zip(expected, out):
        assert torch.equal(sample.pred_map, one)
        torch.testing.assert_close(sample.pred_score, torch.full((3,), 1 / 3))
        ys, xs = one.nonzero().unbind(1)
        x0, y0, x1, y1 = sample.pred_bbox.tolist()
        # 8 pixels a patch; half a patch of the edge lies above one half
        assert abs(x0 - 8 * int(xs.min())) <= 4 and abs(y1 - 8 * int(ys.max()) - 8) <= 4


@pytest.mark.parametrize('kind', HEADS)
def test_centered_features(kind):
    head = dict(LOSTHead=LOSTHead, TokenCutHead=TokenCutHead)[kind](
        num_classes=2, feat=-1, center=True
    )
    feat = torch.rand(2, 4, 5, 5)
    maps = head.class_maps(head([feat, feat]), torch.zeros(2, 1, dtype=torch.long))
    expected = HEADS[kind](feat - feat.mean((2, 3), keepdim=True))
    assert torch.equal(maps[:, 0], expected.float())


def test_nothing_is_trained():
    model = build_model(dict(type='bas_mm.LOSTHead'), neck=dict(keys=-1))
    with pytest.raises(ValueError, match='sees no label.*bas-mm test CONFIG'):
        model.train().loss(X, make_samples(1, 2, 0))


def test_the_weights_of_the_trunk_are_all():
    weights = dict(init_cfg=dict(type='Pretrained', checkpoint='a.pth'))
    head = dict(type='bas_mm.LOSTHead', num_classes=3)
    assert brings_classifier(dict(backbone=weights, head=head))
    assert not brings_classifier(dict(backbone={}, head=head))
    cam = dict(type='bas_mm.CAMHead', num_classes=3)
    assert not brings_classifier(dict(backbone=weights, head=cam))
    assert brings_classifier(dict(backbone={}, head=dict(cam, **weights)))
