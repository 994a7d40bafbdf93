import pytest
import torch
from mmpretrain.registry import MODELS

from bas_mm.models import SplitNeck, TokenNeck
from bas_mm.models.rerun import Rerun
from tests.helpers.transformers import VIT, attention_of, build_model, build_trunk

X = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def bound(trunk, *args, **kwargs):
    neck = TokenNeck(*args, **kwargs)
    neck.bind(trunk)
    return neck


def sequences(trunk, x):
    """What each layer takes, and what the last gives; seen from outside."""
    taken = []
    handles = [
        layer.register_forward_pre_hook(lambda m, args: taken.append(args[0]))
        for layer in trunk.layers
    ]
    handles.append(trunk.ln1.register_forward_hook(lambda m, a, out: taken.append(out)))
    with torch.no_grad():
        trunk(x)
    for handle in handles:
        handle.remove()
    return taken


@pytest.mark.parametrize('kind', ['VisionTransformer', 'DistilledVisionTransformer'])
@pytest.mark.parametrize('size', [32, 48])
def test_what_it_reads_is_what_the_layers_compute(kind, size):
    trunk = build_trunk(type=kind)
    x = torch.randn(2, 3, size, size)
    neck = bound(trunk, 'layers.1', attention=True, keys=-1, cls_token=True)
    with torch.no_grad():
        attention, keys, token, feat, last = neck(x)
        plain = SplitNeck('layers.1')
        plain.bind(trunk)
        assert torch.equal(plain(x)[0], feat) and torch.equal(plain(x)[1], last)
    seqs = sequences(trunk, x)
    extra = 1 if kind == 'VisionTransformer' else 2
    for i, layer in enumerate(trunk.layers):
        expected, key = attention_of(layer, seqs[i])
        torch.testing.assert_close(attention[:, i], expected[:, :, :extra])
    assert attention.shape == (2, 2, 2, extra, extra + (size // 8) ** 2)
    torch.testing.assert_close(keys.flatten(2).transpose(1, 2), key[:, extra:])
    torch.testing.assert_close(token[..., 0, 0], seqs[-1][:, 0])
    assert not any(m._forward_hooks for m in trunk.modules())


def test_an_earlier_end():
    trunk = build_trunk(out_indices=[0])
    neck = bound(trunk, attention=True, cls_token=True, keys=0)
    with torch.no_grad():
        attention, _, token, *_ = neck(X)
        seq, *_ = sequences(trunk, X)
        seq = trunk.layers[0](seq)
    assert attention.shape[1] == 1
    torch.testing.assert_close(token[..., 0, 0], seq[:, 0])


def test_only_what_is_asked_for():
    trunk = build_trunk()
    assert len(bound(trunk)(X)) == 2
    assert len(bound(trunk, taps=['layers.0'], keys=0)(X)) == 4


def test_a_part_of_the_trunk_again():
    """Layers that do not run keep what the first pass read; no weight gets gradient."""
    model = build_model(
        dict(type='bas_mm.CAMHead', num_convs=0),
        neck=dict(start='layers.1', attention=True, keys=0),
    )
    first = model.neck.run(X)
    rerun = Rerun(model.neck, model.head, X, first)
    mask = torch.rand(2, 1, 4, 4, requires_grad=True)
    acts = rerun(first.feats[-2].detach() * mask, frozen=True)
    attention, keys = acts.feats[:2]
    assert torch.equal(attention[:, 0], first.feats[0][:, 0])
    assert not torch.equal(attention[:, 1], first.feats[0][:, 1])
    assert torch.equal(keys, first.feats[1])
    (acts.logits.sum() + attention.square().sum()).backward()
    assert mask.grad.abs().sum() > 0
    assert all(p.grad is None for p in model.parameters())


def test_attention_is_of_each_image_alone():
    neck = bound(build_trunk(), attention=True)
    with torch.no_grad():
        torch.testing.assert_close(neck(X)[0][1:], neck(X[1:])[0])


@pytest.mark.parametrize(
    'backbone, neck, message',
    [
        (dict(type='ResNet', depth=18), {}, 'ResNet is none.*SplitNeck'),
        (
            dict(VIT, with_cls_token=False),
            dict(attention=True),
            'no class token.*model.backbone.with_cls_token=True',
        ),
        (VIT, dict(keys=2), r'model\.neck\.keys.*-2 to 1, got 2'),
        (VIT, dict(gates=True), 'No layer of VisionTransformer has a gate'),
    ],
)
def test_what_a_trunk_does_not_have(backbone, neck, message):
    with pytest.raises(ValueError, match=message):
        bound(MODELS.build(backbone), **neck)
