import pytest
import torch
import torch.nn.functional as F

from bas_mm.models import TriLiteHead
from bas_mm.models.heads.trilite_head import away_from, masked_mean
from tests.helpers.models import make_samples
from tests.helpers.transformers import build_model

X = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
SAMPLES, LABELS = make_samples(1, 2, 0), torch.tensor([1, 2, 0])
HEAD = dict(type='bas_mm.TriLiteHead', fg_weight=0.5, bg_weight=2.0)
FROZEN = dict(frozen_stages=2)


def test_means_by_a_loop():
    rng = torch.Generator().manual_seed(1)
    feat = torch.randn(2, 3, 2, 4, generator=rng)
    maps = torch.rand(2, 2, 2, 4, generator=rng)
    means = masked_mean(feat, maps, 0.1)
    for b in range(2):
        for m in range(2):
            total, weight = torch.zeros(3), 0.1
            for y in range(2):
                for x in range(4):
                    total += maps[b, m, y, x] * feat[b, :, y, x]
                    weight += float(maps[b, m, y, x])
            torch.testing.assert_close(means[b, m], total / weight)
    empty = masked_mean(feat, torch.zeros(2, 1, 2, 4), 1e-6)
    assert not empty.any()


def test_away_from_by_its_definition():
    logits = torch.randn(4, 5, generator=torch.Generator().manual_seed(2))
    label = torch.tensor([0, 4, 2, 2])
    p = logits.softmax(1)[torch.arange(4), label]
    torch.testing.assert_close(away_from(logits, label), -(1 - p).log().mean())
    sure = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)
    loss = away_from(sure, torch.tensor([0]))
    assert loss.item() == pytest.approx(200, abs=1)  # where 1 - p is 0
    loss.backward()
    assert sure.grad.isfinite().all() and sure.grad[0, 0] > 0.9
    assert away_from(torch.randn(2, 1), torch.tensor([0, 0])) == 0


def test_losses_by_hand():
    model = build_model(HEAD, neck=dict(cls_token=True), backbone=FROZEN).train()
    token, _, last = model.neck(X)
    head = model.head
    cls, fg_bg = head.classifier[0], head.region_classifier
    logits = F.linear(token[..., 0, 0], cls.weight[..., 0, 0], cls.bias)
    regions = head.regions(last).softmax(1)
    fg, bg = (
        fg_bg((last * m).sum((2, 3)) / (m.sum((2, 3)) + head.eps))
        for m in (regions[:, :1], regions[:, 1:2])
    )
    p = bg.softmax(1)[torch.arange(3), LABELS]
    losses = model.loss(X, SAMPLES)
    torch.testing.assert_close(losses['loss_cls'], F.cross_entropy(logits, LABELS))
    torch.testing.assert_close(losses['loss_fg'], 0.5 * F.cross_entropy(fg, LABELS))
    torch.testing.assert_close(losses['loss_bg'], -2 * (1 - p).log().mean())
    areas = [losses[f'{k}_area'] for k in ('fg', 'bg', 'ambiguous')]
    assert sum(areas) == pytest.approx(1, abs=1e-5)
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    assert all(p.grad is None for p in model.backbone.parameters())
    assert all(p.grad is not None for p in head.parameters())


def test_classification_alone_uses_every_weight():
    model = build_model(HEAD, neck=dict(cls_token=True), backbone=FROZEN).train()
    model.cls_only = True
    losses = model.loss(X, SAMPLES)
    assert {k for k in losses if 'loss' in k} == {'loss_cls'}
    losses['loss_cls'].backward()
    assert all(p.grad is not None for p in model.head.parameters())


def test_maps():
    model = build_model(HEAD, neck=dict(cls_token=True))
    with torch.no_grad():
        acts = model.head(model.neck(X))
        maps = model.class_maps(X, [0, 2])
        crops = torch.randn(3, 2, 3, 32, 32)
        sample = model.predict(X, make_samples(1, 2, 0), crops=crops)[0]
    assert torch.equal(maps[:, 1], acts.regions[:, 0])
    torch.testing.assert_close(acts.regions.sum(1), torch.ones(3, 4, 4))
    torch.testing.assert_close(sample.pred_map, acts.regions[0, 0])


def test_no_class_token():
    model = build_model(HEAD)
    with pytest.raises(ValueError, match=r'model\.neck\.cls_token=True'):
        model.predict(X, SAMPLES)
    model = build_model(dict(HEAD, cls_token=False))
    with torch.no_grad():
        acts = model.head(model.neck(X))
        logits = model.head.classifier(acts.feats[-1]).mean((2, 3))
    torch.testing.assert_close(acts.logits, logits)


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(bg_weight=-1.0), r'model\.head\.bg_weight.*got -1'),
        (dict(kernel_size=2), r'model\.head\.kernel_size.*odd, got 2'),
    ],
)
def test_bad_options(kwargs, message):
    with pytest.raises(ValueError, match=message):
        TriLiteHead(num_classes=3, in_channels=4, **kwargs)
