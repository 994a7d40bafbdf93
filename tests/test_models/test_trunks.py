"""Transformers, whose class token flows beside the feature map, and timm."""

import pytest
import torch
from mmpretrain.registry import MODELS
from torch import nn

from bas_mm.models import BASClassifier, SplitNeck
from bas_mm.models.rerun import Rerun
from bas_mm.models.trunks import Tokens, as_feat, span_of
from bas_mm.models.watch import tiny_view
from tests.helpers.models import make_samples

VIT = dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32)
BACKBONES = {
    'ViT': dict(type='VisionTransformer', arch=VIT, img_size=32, patch_size=8),
    'ViT without class token': dict(
        type='VisionTransformer',
        arch=VIT,
        img_size=32,
        patch_size=8,
        with_cls_token=False,
    ),
    'DeiT': dict(
        type='DistilledVisionTransformer', arch=VIT, img_size=32, patch_size=8
    ),
    'DeiT3': dict(type='DeiT3', arch=VIT, img_size=32, patch_size=8),
    'BEiT': dict(type='BEiTViT', arch=VIT, img_size=32, patch_size=8),
    'BEiT with one bias': dict(
        type='BEiTViT',
        arch=VIT,
        img_size=32,
        patch_size=8,
        use_rel_pos_bias=False,
        use_shared_rel_pos_bias=True,
    ),
    'EVA-02': dict(type='ViTEVA02', arch=VIT, img_size=32, patch_size=8),
    'ViT, earlier end': dict(
        type='VisionTransformer', arch=VIT, img_size=32, patch_size=8, out_indices=[2]
    ),
}
SWIN = dict(embed_dims=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2])
HIERARCHIES = {
    'Swin': dict(type='SwinTransformer', arch=SWIN, img_size=64, window_size=2),
    'Swin V2': dict(
        type='SwinTransformerV2',
        arch=dict(SWIN, extra_norm_every_n_blocks=0),
        img_size=64,
        window_size=2,
    ),
}


@pytest.mark.parametrize('name', BACKBONES)
def test_vision_transformers(name):
    torch.manual_seed(0)
    backbone = MODELS.build(dict(BACKBONES[name], out_type='featmap'))
    backbone.init_weights()
    backbone.eval()
    neck = SplitNeck(start='layers.2', taps=['layers.0'])
    neck.bind(backbone)
    taken = []
    backbone.layers[2].register_forward_pre_hook(lambda m, args: taken.append(args[0]))
    # BEiT's positions are of one size, the others' are resized
    for size in (32,) if 'BEiT' in name else (32, 48):
        x = torch.randn(2, 3, size, size)
        taken.clear()
        with torch.no_grad():
            _, feat, last = neck(x)
            assert torch.equal(last, backbone(x)[-1])
            flow = neck.f1(x)
            assert torch.equal(neck.f2(flow), last)
        patches = taken[0][:, -((size // 8) ** 2) :]
        assert torch.equal(feat.flatten(2).transpose(1, 2), patches)
        assert feat.shape == (2, 16, size // 8, size // 8)
        assert torch.equal(flow.feat, feat)


@pytest.mark.parametrize('name', HIERARCHIES)
def test_hierarchies(name):
    backbone = MODELS.build(HIERARCHIES[name])
    backbone.eval()
    neck = SplitNeck(start='stages.3')
    neck.bind(backbone)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        feat, last = neck(x)
        assert torch.equal(last, backbone(x)[-1])
    assert (
        neck.feat_channels
        == (feat.shape[1], last.shape[1])
        == ((64, 64) if name == 'Swin' else (32, 64))
    )


def test_a_masked_map_runs_with_the_class_token_of_the_first_pass():
    torch.manual_seed(0)
    backbone = MODELS.build(dict(BACKBONES['ViT'], out_type='featmap'))
    backbone.eval()
    neck = SplitNeck(start='layers.2')
    neck.bind(backbone)
    x, mask = torch.randn(1, 3, 32, 32), torch.rand(1, 1, 4, 4)
    with torch.no_grad():
        first = neck.run(x)
        ours = neck.run(first.feats[0] * mask, -1, first).feats[1]
        seq = first.flows[0].seq.clone()
        seq[:, 1:] *= mask.flatten(2).transpose(1, 2)
        for layer in backbone.layers[2:]:
            seq = layer(seq)
        seq = backbone.ln1(seq)[:, 1:]
    torch.testing.assert_close(ours.flatten(2).transpose(1, 2), seq)


@pytest.mark.parametrize('name', ['DeiT', 'BEiT', 'Swin'])
def test_bas_trains_on_tokens(name):
    cfg = (
        HIERARCHIES[name]
        if name in HIERARCHIES
        else dict(BACKBONES[name], out_type='featmap')
    )
    torch.manual_seed(0)
    start = 'stages.3' if name == 'Swin' else 'layers.2'
    channels = 64 if name == 'Swin' else 16
    model = BASClassifier(
        dict(cfg),
        dict(type='bas_mm.SplitNeck', start=start),
        dict(
            type='bas_mm.BASHead',
            num_classes=3,
            in_channels=channels,
            map_channels=channels,
            num_convs=0,
            final_relu=False,
        ),
    ).train()
    size = 64 if name == 'Swin' else 32
    views = torch.randn(2, 3, size, size)
    first = model.neck.run(views)
    mask = torch.rand(2, 1, *first.feats[0].shape[2:], requires_grad=True)
    rerun = Rerun(model.neck, model.head, views, first)
    frozen = rerun(first.feats[0].detach() * mask, frozen=True)
    frozen.logits.square().sum().backward()
    assert mask.grad.abs().sum() > 0
    assert all(p.grad is None for p in model.parameters())
    losses = model.loss(views, make_samples(0, 2))
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    assert all(p.grad is not None for p in model.neck.f2.parameters())
    assert model.head.generator.weight.grad.abs().sum() > 0


def test_tokens():
    seq = torch.arange(14.0).view(1, 7, 2)
    tokens = Tokens(seq, (2, 3))
    assert torch.equal(tokens.feat[0, 0], seq[0, 1:, 0].view(2, 3))
    changed = tokens.replace_feat(tokens.feat * 0)
    assert torch.equal(changed.seq[:, :1], seq[:, :1]) and not changed.seq[:, 1:].any()
    assert as_feat(seq) is seq


def test_spans():
    chain = ['stem', 'layer1.0', 'layer1.1', 'layer10']
    assert span_of(chain, 'layer1') == (1, 3)
    assert span_of(chain, 'layer10') == (3, 4)
    assert span_of(chain, 'layer') is None
    assert span_of([], 'stem') is None


def test_the_tiny_view_has_the_channels_and_size_that_a_trunk_takes():
    assert tiny_view(nn.Conv2d(1, 2, 3)).shape == (1, 1, 64, 64)
    vit = MODELS.build(dict(BACKBONES['ViT'], out_type='featmap'))
    assert tiny_view(vit).shape == (1, 3, 32, 32)
    state = torch.get_rng_state()
    assert torch.equal(tiny_view(vit), tiny_view(vit))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ('name', 'start'),
    [
        ('resnet18', 'layer4'),
        ('efficientnet_lite0', 'blocks.5'),
        ('mobilenetv2_100', 'timm_model.blocks.6'),
    ],
)
def test_timm(name, start):
    pytest.importorskip('timm')
    backbone = MODELS.build(dict(type='TIMMBackbone', model_name=name))
    backbone.eval()
    neck = SplitNeck(start=start)
    neck.bind(backbone)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        feat, last = neck(x)
        assert torch.equal(last, backbone(x)[-1])
    assert (
        feat.shape[1:]
        == {
            'resnet18': (256, 4, 4),
            'efficientnet_lite0': (112, 4, 4),
            'mobilenetv2_100': (160, 2, 2),
        }[name]
    )


def test_timm_transformers_that_end_otherwise_are_refused():
    pytest.importorskip('timm')
    backbone = MODELS.build(
        dict(type='TIMMBackbone', model_name='swin_tiny_patch4_window7_224')
    )
    with pytest.raises(ValueError, match='TIMMBackbone ends in a tensor of the shape'):
        SplitNeck(start='layers.3').bind(backbone)
