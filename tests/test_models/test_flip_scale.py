import copy

import pytest
import torch
import torch.nn.functional as F

from bas_mm.models import FlipScaleRefiner
from tests.helpers.models import build_model, make_samples

X = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
CLASSES = torch.tensor([[3, 1], [0, 2]])


def build(method='CAM', **refiner):
    refiner = dict(type='bas_mm.FlipScaleRefiner', **refiner) if refiner else None
    return build_model(
        method, 'tiny', final_relu=False, topk=2, model=dict(refiner=refiner)
    ).eval()


@pytest.mark.parametrize('method', ['CAM', 'BAS'])
@torch.no_grad()
def test_the_mean_of_a_view_and_its_mirror(method):
    plain, model = build(method), build(method, flip=True)

    def maps(x):
        acts = plain.head(plain.neck(x))
        return plain.head.class_maps(acts, CLASSES).mean(1)

    expected = (maps(X) + maps(X.flip(3)).flip(2)) / 2
    acts = model.head(model.neck(X))
    torch.testing.assert_close(model.maps(acts, X, CLASSES), expected)
    # a mirrored view has the mirrored map
    other = model.head(model.neck(X.flip(3)))
    torch.testing.assert_close(model.maps(other, X.flip(3), CLASSES).flip(2), expected)


@torch.no_grad()
def test_the_mean_over_sizes():
    plain, model = build(), build(flip=False, scales=[1, 1.5])
    large = F.interpolate(X, (96, 96), mode='bilinear')
    one, two = (
        plain.head.class_maps(plain.head(plain.neck(x)), CLASSES).mean(1)
        for x in (X, large)
    )
    two = F.interpolate(two[:, None], one.shape[1:], mode='bilinear')[:, 0]
    acts = model.head(model.neck(X))
    torch.testing.assert_close(model.maps(acts, X, CLASSES), (one + two) / 2)


@torch.no_grad()
def test_scores_stay_those_of_the_view():
    plain, model = build(), build(flip=True, scales=[0.5])
    for one, other in zip(
        plain.predict(X, make_samples(0, 1)), model.predict(X, make_samples(0, 1))
    ):
        assert torch.equal(one.pred_score, other.pred_score)
        assert one.pred_map.shape == other.pred_map.shape
        assert not torch.equal(one.pred_map, other.pred_map)


@torch.no_grad()
def test_a_copy_of_the_model_asks_itself():
    model = build(flip=True)
    twin = copy.deepcopy(model)
    for param in twin.head.parameters():
        param.zero_()
    acts = twin.head(twin.neck(X))
    assert not twin.maps(acts, X, CLASSES).any()
    assert model.state_dict().keys() == build().state_dict().keys()


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(flip=False), r'nothing to average.*model\.refiner\.flip=True'),
        (dict(flip=False, scales=[1.0]), 'nothing to average'),
        (dict(scales=[0.5, 0]), r'model\.refiner\.scales.*above 0.*got \[0.5, 0\]'),
    ],
)
def test_bad_options(kwargs, message):
    with pytest.raises(ValueError, match=message):
        FlipScaleRefiner(**kwargs)
