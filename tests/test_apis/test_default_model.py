"""What lets the ImageNet classifier be read as CAM without training."""

from pathlib import Path

import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS

from bas_mm.models import CAMHead, EfficientNetLite0


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


def test_linear_layer_becomes_the_last_conv(tmp_path):
    linear = torch.nn.Linear(8, 5)
    torch.save(
        dict(fc=1, **{f'fc.{k}': v for k, v in linear.state_dict().items()}),
        tmp_path / 'a.pth',
    )
    for kwargs in (dict(final_relu=False), dict()):
        head = MODELS.build(
            dict(
                type='bas_mm.CAMHead',
                num_classes=5,
                in_channels=8,
                num_convs=0,
                init_cfg=dict(
                    type='Pretrained', prefix='fc', checkpoint=str(tmp_path / 'a.pth')
                ),
                **kwargs,
            )
        )
        head.init_weights()
        feat = torch.randn(2, 8, 3, 4)
        maps = linear(feat.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        expected = maps if kwargs else maps.relu()
        assert torch.allclose(head.classifier(feat), expected, atol=1e-6)


def test_a_heads_own_weights_load_as_before():
    head = CAMHead(3, 8, mid_channels=4)
    other = CAMHead(3, 8, mid_channels=4)
    other.load_state_dict(head.state_dict())
    assert torch.equal(other.classifier[-2].weight, head.classifier[-2].weight)


def test_config_of_the_default_model():
    cfg = Config.fromfile(
        Path(__file__).parents[2] / 'configs/cam/cam_efficientnet-lite0_imagenet.py'
    )
    assert cfg.model.head.num_classes == 1000
    assert cfg.model.head.map_label == 'pred' and cfg.model.backbone.dilate
