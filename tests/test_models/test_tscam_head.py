import pytest
import torch

from bas_mm.models import CAMHead, TSCAMHead, tscam_maps
from tests.helpers.models import make_samples
from tests.helpers.transformers import build_model

X = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
HEAD = dict(type='bas_mm.TSCAMHead', num_convs=0, kernel_size=3, final_relu=False)


def test_maps_by_a_loop():
    rng = torch.Generator().manual_seed(1)
    attention = torch.rand(3, 2, 4, 7, 7, generator=rng).softmax(-1)
    logits = torch.randn(2, 5, 2, 3, generator=rng)
    maps = tscam_maps(attention, logits)
    for b in range(2):
        for c in range(5):
            for y in range(2):
                for x in range(3):
                    to = 1 + 3 * y + x
                    weight = sum(
                        float(attention[n, b, h, 0, to]) / 4
                        for n in range(3)
                        for h in range(4)
                    )
                    expected = weight * float(logits[b, c, y, x])
                    assert float(maps[b, c, y, x]) == pytest.approx(expected, rel=1e-5)
    rows = tscam_maps(attention[:, :, :, :1], logits)
    assert torch.equal(rows, maps)
    distilled = torch.cat([attention[..., :1], attention], -1)
    assert torch.equal(tscam_maps(distilled, logits), maps)


def test_even_attention_leaves_the_logit_maps():
    logits = torch.randn(1, 2, 2, 2)
    maps = tscam_maps(torch.full((6, 1, 3, 5, 5), 0.2), logits)
    torch.testing.assert_close(maps, 6 * 0.2 * logits)


@pytest.mark.parametrize('shape', [(2, 1, 3, 4, 4), (2, 1, 4, 5)])
def test_too_few_tokens(shape):
    with pytest.raises(ValueError, match='2x3 patches.*got'):
        tscam_maps(torch.rand(shape), torch.rand(1, 1, 2, 3))


def test_a_model():
    model = build_model(HEAD, neck=dict(attention=True))
    with torch.no_grad():
        acts = model.head(model.neck(X))
        logits = model.head.classifier(acts.feats[-1]).mean((2, 3))
        torch.testing.assert_close(acts.logits, logits)
        maps = model.class_maps(X, [0, 2])
        expected = tscam_maps(acts.feats[0].transpose(0, 1), acts.logit_map)
        assert torch.equal(maps, expected[:, [0, 2]])
        crops = torch.randn(3, 2, 3, 32, 32)
        (one, *_), (same, *_) = (
            model.predict(X, make_samples(1, 2, 0), crops=c) for c in (None, crops)
        )
    torch.testing.assert_close(one.pred_map, same.pred_map)
    assert model.head.classifier[0].kernel_size == (3, 3)


def test_attention_is_needed():
    model = build_model(HEAD)
    with pytest.raises(ValueError, match=r'model\.neck\.attention=True'):
        model.predict(X, make_samples(1, 2, 0))


def test_every_weight_learns():
    model = build_model(HEAD, neck=dict(attention=True)).train()
    losses = model.loss(X, make_samples(1, 2, 0))
    losses['loss_cls'].backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(
    'head, kwargs',
    [
        (TSCAMHead, dict(kernel_size=2)),
        (TSCAMHead, dict(clamp_weights=True)),
        (CAMHead, dict(kernel_size=3, clamp_weights=True)),
    ],
)
def test_bad_options(head, kwargs):
    with pytest.raises(ValueError, match=r'model\.head\.(kernel_size|clamp_weights)'):
        head(num_classes=3, in_channels=4, **kwargs)
