import pytest
import torch
import torch.nn.functional as F

from bas_mm.models import EILHead
from tests.helpers.models import build_model, make_samples


def eil(trunk='vgg16', neck=(), **head):
    model = build_model(
        'CAM',
        trunk,
        type='bas_mm.EILHead',
        model=dict(type='bas_mm.WSOLClassifier'),
        neck=neck,
        final_relu=False,
        **head,
    )
    return model.train()


X = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
SAMPLES, LABELS = make_samples(1, 4, 0), torch.tensor([1, 4, 0])


@pytest.mark.parametrize('weight', [1.0, 0.3])
def test_both_streams_by_hand(weight):
    model = eil(erase_threshold=0.6, erase_weight=weight)
    feat = model.neck.f1(X)
    attention = feat.mean(1, keepdim=True)
    peak = attention.flatten(1).max(1).values.view(-1, 1, 1, 1)
    erased = torch.where(attention < 0.6 * peak, feat, torch.zeros(()))

    def ce(feat):
        logits = model.head.classifier(model.neck.f2(feat)).mean((2, 3))
        return F.cross_entropy(logits, LABELS)

    expected = ce(feat) + weight * ce(erased)
    params = list(model.parameters())
    grads = torch.autograd.grad(expected, params)
    losses = model.loss(X, SAMPLES)
    ours = losses['loss_cls'] + losses['loss_erased']
    torch.testing.assert_close(ours, expected)
    for one, other in zip(torch.autograd.grad(ours, params), grads):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert 0 < losses['kept'] < 1


def test_degenerate_thresholds():
    losses = eil(erase_threshold=1.01, erase_weight=0.5).loss(X, SAMPLES)
    assert losses['kept'] == 1
    torch.testing.assert_close(losses['loss_erased'], 0.5 * losses['loss_cls'])
    model = eil(erase_threshold=0.0)
    losses = model.loss(X, SAMPLES)
    zeros = model.neck.f2(torch.zeros_like(model.neck.f1(X)))
    nothing = model.head.classifier(zeros).mean((2, 3))
    assert losses['kept'] == 0
    torch.testing.assert_close(losses['loss_erased'], F.cross_entropy(nothing, LABELS))


def test_several_stages_add_a_stream_each():
    neck = dict(taps=['features.9'])
    one, two = (
        eil(neck=neck, erase_threshold=0.6, stages=[stage]).loss(X, SAMPLES)
        for stage in (1, -1)
    )
    both = eil(neck=neck, erase_threshold=0.6, stages=[1, -1]).loss(X, SAMPLES)
    assert one['loss_erased'] != two['loss_erased']
    torch.testing.assert_close(
        both['loss_erased'], one['loss_erased'] + two['loss_erased']
    )
    torch.testing.assert_close(both['loss_cls'], one['loss_cls'])


def test_the_end_of_the_trunk_as_a_stage():
    losses = eil(neck=dict(start=None, taps=['features.13']), stages=[1, -1]).loss(
        X, SAMPLES
    )
    assert losses['loss_erased'] > 0


def test_it_predicts_as_a_cam():
    plain = build_model('CAM', 'tiny', final_relu=False).eval()
    model = eil('tiny').eval()
    model.load_state_dict(plain.state_dict())
    with torch.no_grad():
        for one, other in zip(
            model.predict(X, make_samples(1, 4, 0)),
            plain.predict(X, make_samples(1, 4, 0)),
        ):
            assert torch.equal(one.pred_map, other.pred_map)
            assert torch.equal(one.pred_score, other.pred_score)


def test_mixed_labels():
    model = eil('tiny')
    acts = model.head(model.neck(X))
    soft = F.one_hot(LABELS, 5).float()
    hard = model.head.cls_loss(acts, LABELS)['loss_cls']
    torch.testing.assert_close(model.head.cls_loss(acts, soft)['loss_cls'], hard)
    assert not model.head.needs_label


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(erase_weight=-1.0), r'model\.head\.erase_weight.*0 or more, got -1'),
        (dict(stages=()), r'model\.head\.stages.*got \(\)'),
        (dict(stages=[0]), r'model\.head\.stages.*the view.*got \[0\]'),
        (dict(relative='mean'), r"`relative`.*got 'mean'"),
    ],
)
def test_bad_options(kwargs, message):
    with pytest.raises(ValueError, match=message):
        EILHead(num_classes=3, in_channels=4, **kwargs)


def test_a_stage_that_is_none_is_refused():
    with pytest.raises((ValueError, IndexError)):
        eil('tiny', stages=[4]).loss(X, SAMPLES)
