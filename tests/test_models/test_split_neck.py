import pytest
import torch
from mmpretrain.models import VGG, ResNet
from torch import nn

from bas_mm.models import SplitNeck

from .conftest import TRUNKS


@pytest.mark.parametrize('trunk', TRUNKS)
def test_halves_make_the_stock_backbone(build, trunk):
    model = build(trunk=trunk).eval()
    model.neck.pool = None
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        feat, out = model.neck(x)
        torch.testing.assert_close(out, model.backbone(x)[-1], rtol=0, atol=0)
        torch.testing.assert_close(model.neck.f2(model.neck.f1(x)), out)
    assert feat.shape[1] == TRUNKS[trunk][3]


@pytest.mark.parametrize('trunk', TRUNKS)
def test_sizes_follow_the_input(build, trunk):
    model = build(trunk=trunk).eval()
    stride = 16 if trunk == 'efficientnet-lite0' else 8
    for size in (64, 96):
        with torch.no_grad():
            feat, out = model.neck(torch.randn(1, 3, size, size))
        assert feat.shape[2:] == (size // stride,) * 2
        assert out.shape[2:] == (size // 16,) * 2


def test_keys_stay_those_of_the_backbone(build):
    model = build(trunk='vgg16')
    keys = {k for k in model.state_dict() if not k.startswith('head.')}
    assert keys == {'backbone.' + k for k in model.backbone.state_dict()}
    assert not list(model.neck.parameters())


def test_cut_inside_sequentials_and_before_end():
    backbone = ResNet(depth=18)
    neck = SplitNeck(start='layer2.1', end='layer4')
    neck.bind(backbone)
    x = torch.randn(1, 3, 32, 32)
    backbone.eval()
    with torch.no_grad():
        stem = backbone.maxpool(backbone.relu(backbone.norm1(backbone.conv1(x))))
        feat = backbone.layer2[0](backbone.layer1(stem))
        torch.testing.assert_close(neck.f1(x), feat)
        torch.testing.assert_close(
            neck.f2(feat), backbone.layer3(backbone.layer2[1](feat))
        )


def test_no_start_leaves_the_head_alone_after_the_cut():
    neck = SplitNeck()
    neck.bind(VGG(depth=11, with_last_pool=False))
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        feat, out = neck(x)
    assert out is feat and feat.shape == (1, 512, 2, 2)


def test_layers_that_were_replaced_are_seen():
    backbone = ResNet(depth=18)
    neck = SplitNeck(start='layer4')
    neck.bind(backbone)
    nn.SyncBatchNorm.convert_sync_batchnorm(backbone)
    assert any(isinstance(m, nn.SyncBatchNorm) for m in neck.f1.children())


@pytest.mark.parametrize('field', ['start', 'end'])
def test_wrong_layer_names_the_right_ones(field):
    with pytest.raises(
        ValueError,
        match=rf"{field}='layer9'.*model\.neck\.{field}.*"
        r'conv1.*layer4\.1',
    ):
        SplitNeck(**{field: 'layer9'}).bind(ResNet(depth=18))


def test_end_before_start():
    with pytest.raises(ValueError, match="end='layer1' must come after"):
        SplitNeck(start='layer3', end='layer1').bind(ResNet(depth=18))


def test_unbound():
    with pytest.raises(RuntimeError, match=r'neck\.bind\(backbone\)'):
        SplitNeck(start='layer4')(torch.randn(1, 3, 8, 8))
