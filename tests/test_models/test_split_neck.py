import copy

import pytest
import torch
from mmpretrain.models import VGG, DenseNet, HRNet, ResNet, VisionTransformer
from mmpretrain.registry import MODELS
from torch import nn

from bas_mm.models import SplitNeck
from tests.helpers.models import PAPER_TRUNKS, TRUNKS, build_model


@pytest.mark.parametrize('trunk', PAPER_TRUNKS)
def test_halves_make_the_stock_backbone(trunk):
    model = build_model(trunk=trunk).eval()
    model.neck.pool = None
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        feat, out = model.neck(x)
        torch.testing.assert_close(out, model.backbone(x)[-1], rtol=0, atol=0)
        torch.testing.assert_close(model.neck.f2(model.neck.f1(x)), out)
    assert feat.shape[1] == TRUNKS[trunk][3]


@pytest.mark.parametrize('trunk', PAPER_TRUNKS)
def test_sizes_follow_the_input(trunk):
    model = build_model(trunk=trunk).eval()
    stride = 16 if trunk == 'efficientnet-lite0' else 8
    for size in (64, 96):
        with torch.no_grad():
            feat, out = model.neck(torch.randn(1, 3, size, size))
        assert feat.shape[2:] == (size // stride,) * 2
        assert out.shape[2:] == (size // 16,) * 2


def test_keys_stay_those_of_the_backbone():
    model = build_model(trunk='vgg16')
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


def resnet(**kwargs):
    return ResNet(depth=18, base_channels=4, stem_channels=4, **kwargs)


def bound(backbone, *args, **kwargs):
    neck = SplitNeck(*args, **kwargs)
    neck.bind(backbone)
    return neck


@MODELS.register_module()
class AddOne(nn.Module):
    """An insert with a weight of its own."""

    def __init__(self):
        super().__init__()
        self.one = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return x + self.one


def test_taps_are_handed_out_in_their_order():
    backbone = resnet()
    backbone.eval()
    neck = bound(backbone, start='layer4', taps=('layer3.0', 'layer1', 'layer4.0'))
    x = torch.randn(2, 3, 32, 32)
    seen = {}
    for name in ('layer3.0', 'layer1', 'layer4.0', 'layer3'):
        backbone.get_submodule(name).register_forward_hook(
            lambda m, i, out, name=name: seen.setdefault(name, out)
        )
    with torch.no_grad():
        feats = neck(x)
        expected = backbone(x)[-1]
    assert len(feats) == 5
    names = ('layer3.0', 'layer1', 'layer4.0', 'layer3')
    for feat, name in zip(feats, names):
        assert torch.equal(feat, seen[name]), name
    assert torch.equal(feats[-1], expected)
    assert neck.feat_channels == tuple(feat.shape[1] for feat in feats)


def test_inserts_stand_behind_their_layer_and_are_the_necks():
    backbone = resnet()
    backbone.eval()
    neck = bound(
        backbone,
        start='layer4',
        inserts={
            'layer3.0': dict(type='AddOne'),
            'layer3': AddOne(),
            'layer4.1': AddOne(),
        },
    )
    assert set(neck.state_dict()) == {
        'inserts.layer3_0.one',
        'inserts.layer3.one',
        'inserts.layer4_1.one',
    }
    x = torch.randn(1, 3, 32, 32)
    b = backbone
    with torch.no_grad():
        y = b.layer2(b.layer1(b.maxpool(b.relu(b.norm1(b.conv1(x))))))
        feat = b.layer3[1](b.layer3[0](y) + 1) + 1
        ours, last = neck(x)
        assert torch.equal(ours, feat)
        assert torch.equal(last, b.layer4(feat) + 1)
        assert torch.equal(neck.f2(neck.f1(x)), last)


def test_parameter_free_inserts_leave_the_state_dict_as_it_was():
    model = build_model('CAM', 'tiny', neck=dict(inserts={'layer2': nn.Dropout2d(0.5)}))
    plain = build_model('CAM', 'tiny')
    assert model.state_dict().keys() == plain.state_dict().keys()
    assert 'Dropout2d' in str(model)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(model.eval()(x), plain.eval()(x))
        assert not torch.equal(model.train()(x), plain.train()(x))


def test_pool_stands_behind_the_inserts_of_f1_and_before_f2():
    backbone = resnet(strides=(1, 2, 1, 1))
    backbone.eval()
    neck = bound(
        backbone,
        start='layer4',
        pool=2,
        inserts={'layer3': AddOne()},
        taps=['layer4.0'],
    )
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        tap, feat, last = neck(x)
        pooled = nn.functional.max_pool2d(feat, 2)
        assert torch.equal(tap, backbone.layer4[0](pooled))
        assert torch.equal(last, backbone.layer4(pooled))
        assert torch.equal(neck.run(feat, -1).feats[-1], last)


def test_out_indices_that_end_earlier_are_honored():
    backbone = resnet(out_indices=(0, 2))
    backbone.eval()
    neck = bound(backbone, start='layer3')
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(neck(x)[-1], backbone(x)[-1])
    with pytest.raises(ValueError, match="start='layer4' is not a layer of ResNet"):
        bound(backbone, start='layer4')


def test_an_in_place_first_layer_of_f2_never_overwrites_f():
    backbone = resnet()
    backbone.eval()
    neck = bound(backbone, start='relu', taps=['bn1'])
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        tap, feat, _ = neck(x)
        expected = backbone.norm1(backbone.conv1(x))
    assert (expected < 0).any()
    assert torch.equal(tap, expected) and torch.equal(feat, expected)


def test_binding_disturbs_nothing():
    backbone = resnet(frozen_stages=1)
    backbone.train()
    modes = [m.training for m in backbone.modules()]
    state = copy.deepcopy(backbone.state_dict())
    torch.manual_seed(3)
    before = torch.get_rng_state()
    bound(backbone, start='layer4')
    assert torch.equal(torch.get_rng_state(), before)
    assert [m.training for m in backbone.modules()] == modes
    for key, value in backbone.state_dict().items():
        assert torch.equal(value, state[key]), key
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in backbone.modules())
    assert all(p.grad is None for p in backbone.parameters())


class Shortcut(nn.Module):
    """Its layers stand in order, but it adds the first one's output again."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)

    def forward(self, x):
        x = self.a(x)
        return self.b(x) + x


class InPlaceShortcut(Shortcut):
    """The same, in the very tensor that the last layer gave."""

    def forward(self, x):
        x = self.a(x)
        y = self.b(x)
        y += x
        return y


@pytest.mark.parametrize('trunk', [Shortcut, InPlaceShortcut])
def test_what_is_no_chain_is_refused(trunk):
    with pytest.raises(ValueError, match=f'{trunk.__name__} cannot be cut: its output'):
        bound(trunk(), start='b')


def test_branches_are_refused():
    with pytest.raises(ValueError, match='HRNet cannot be cut.*one after the other'):
        bound(HRNet(arch='w18'), start='stage4')


def test_pooled_features_are_refused_with_the_option_that_helps():
    vit = VisionTransformer(arch='deit-tiny', img_size=32)
    with pytest.raises(ValueError, match=r"shape \(1, 192\).*out_type='featmap'"):
        bound(vit, start='layers.6')


def test_a_trunk_that_does_not_run_is_named():
    class Broken(nn.Module):
        def forward(self, x):
            raise KeyError('lost')

    with pytest.raises(
        ValueError, match="Broken does not run on a view.*KeyError: 'lost'"
    ):
        bound(Broken())


def test_layers_without_values_are_checked_when_they_run():
    with torch.device('meta'):
        backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3))
    wrong, right = bound(backbone, start='9'), bound(backbone, start='2')
    backbone.to_empty(device='cpu')
    for parameter in backbone.parameters():
        nn.init.ones_(parameter)
    x = torch.rand(1, 3, 8, 8)
    with pytest.raises(ValueError, match="start='9' is not a layer of Sequential"):
        wrong(x)
    assert torch.equal(right(x)[1], backbone(x))


def test_a_copied_model_runs_its_own_layers():
    model = build_model('CAM', 'tiny')
    twin = copy.deepcopy(model)
    assert twin.neck.backbone is twin.backbone
    with torch.no_grad():
        twin.backbone.conv1.weight.zero_()
    x = torch.randn(2, 3, 64, 64)
    assert not torch.equal(model.neck(x)[0], twin.neck(x)[0])


def test_densenet_and_convnext_follow_their_interleaved_lists():
    backbone = DenseNet(arch=dict(growth_rate=4, depths=[1, 1, 1, 1], init_channels=8))
    backbone.eval()
    neck = bound(backbone, start='transitions.2')
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(neck.f2(neck.f1(x)), backbone(x)[-1])
    assert [n.split('.')[0] for n in neck.plan.names[1:5]] == [
        'stages',
        'transitions',
    ] * 2


def test_rerun_from_a_stage():
    backbone = resnet()
    backbone.eval()
    neck = bound(backbone, start='layer4', taps=['layer2', 'layer3.0'])
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        first = neck.run(x)
        for stage, feat in (
            (0, x),
            (1, first.feats[0]),
            (2, first.feats[1]),
            (3, None),
        ):
            feat = first.feats[2] if feat is None else feat
            again = neck.run(feat, stage, first)
            assert all(map(torch.equal, again.feats, first.feats)), stage
        assert torch.equal(neck.run(first.feats[2], -1, first).feats[3], first.feats[3])
        changed = neck.run(first.feats[1] * 2, -2, first).feats
    assert torch.equal(changed[0], first.feats[0])
    assert torch.equal(changed[1], first.feats[1] * 2)
    assert not torch.equal(changed[3], first.feats[3])
    with pytest.raises(ValueError, match='stage=4 is none of the trunk: 0 is the view'):
        neck.run(x, 4, first)


def test_two_inserts_behind_the_same_layer_both_run():
    backbone = resnet()
    backbone.eval()
    neck = bound(
        backbone, start='layer4', inserts={'layer3.1': AddOne(), 'layer3': AddOne()}
    )
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        plain = bound(backbone, start='layer4')(x)[0]
        assert torch.equal(neck(x)[0], plain + 1 + 1)
    sum(feat.sum() for feat in neck(x)).backward()
    assert all(p.grad is not None for p in neck.parameters())


class Twice(VisionTransformer):
    """Its layers are those of its parent, its output is not."""

    def forward(self, x):
        return (2 * super().forward(x)[0],)


class Noisy(nn.Sequential):
    """Draws a random number at every pass."""

    def forward(self, x):
        torch.rand(3)
        return super().forward(x)


class KeepsEval(nn.Sequential):
    """A part of it never trains."""

    def train(self, mode=True):
        super().train(mode)
        self[0].eval()
        return self


def chain(*layers, kind=nn.Sequential):
    return kind(nn.Conv2d(3, 4, 1), *layers, nn.Conv2d(4, 4, 1))


def test_another_output_than_that_of_the_layers_is_refused():
    vit = Twice(arch='deit-tiny', img_size=32, out_type='featmap')
    with pytest.raises(ValueError, match='Twice cannot be cut.*not give its own'):
        bound(vit, start='layers.6')


def test_binding_a_trunk_that_draws_keeps_the_random_state():
    torch.manual_seed(3)
    trunk, before = chain(kind=Noisy), torch.get_rng_state()
    bound(trunk, start='1')
    assert torch.equal(torch.get_rng_state(), before)


def test_binding_restores_modes_that_differ_inside():
    trunk = chain(nn.Dropout(), kind=KeepsEval)
    trunk.train()
    trunk[2].eval()  # by hand
    bound(trunk, start='2')
    assert [m.training for m in trunk] == [False, True, False]


def test_bound_in_inference_mode_it_can_still_train():
    trunk = chain(nn.ReLU(inplace=True))
    with torch.inference_mode():
        neck = bound(trunk, start='1')
    x = torch.randn(1, 3, 4, 4)
    neck(x)[-1].sum().backward()
    assert trunk[0].weight.grad is not None


@pytest.mark.parametrize(
    'layers', [(nn.Identity(), nn.ReLU(inplace=True)), (nn.Dropout(0.9, inplace=True),)]
)
@pytest.mark.parametrize('tap', [(), ('0',)])
def test_what_is_handed_out_is_never_overwritten(layers, tap):
    trunk = chain(*layers).train()
    neck = bound(trunk, start='1', taps=tap)
    x = torch.randn(1, 3, 8, 8)
    with torch.no_grad():
        *feats, _ = neck(x)
        for feat in feats:
            assert torch.equal(feat, trunk[0](x))


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(taps='layer3'), r"must be a list of names, got 'layer3'.*neck\.taps"),
        (dict(pool=2), r'pool=2 stands before `start`.*model\.neck\.start'),
        (
            dict(inserts={'a.b': nn.Identity(), 'a_b': nn.Identity()}),
            r"names \['a.b', 'a_b'\] of `inserts` two are the same",
        ),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        SplitNeck(**options)


def test_the_end_of_a_transformer_is_set_elsewhere():
    vit = VisionTransformer(arch='deit-tiny', img_size=32, out_type='featmap')
    with pytest.raises(ValueError, match="end='layers.8'.*backbone.out_indices"):
        bound(vit, start='layers.6', end='layers.8')
