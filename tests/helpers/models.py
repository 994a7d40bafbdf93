"""Small models on the five trunks, and on a tiny one."""

import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

import bas_mm  # noqa: F401  its types are found by prefix

# name: backbone, cut, channels after the cut, channels at the cut
TRUNKS = {
    'vgg16': (
        dict(type='VGG', depth=16, with_last_pool=False),
        dict(start='features.13'),
        512,
        512,
    ),
    'resnet50': (
        dict(type='ResNet', depth=50, strides=(1, 2, 1, 1)),
        dict(start='layer4', pool=2),
        2048,
        1024,
    ),
    'mobilenet-v1': (
        dict(type='bas_mm.MobileNetV1'),
        dict(start='model.12'),
        1024,
        512,
    ),
    'inception-v3': (
        dict(type='bas_mm.WSOLInceptionV3'),
        dict(start='Mixed_7a'),
        2048,
        768,
    ),
    'efficientnet-lite0': (
        dict(type='bas_mm.EfficientNetLite0', strides=(1, 2, 2, 2, 1, 1, 1)),
        dict(start='blocks.11'),
        1280,
        112,
    ),
    'tiny': (
        dict(type='ResNet', depth=18, base_channels=4, stem_channels=4),
        dict(start='layer4'),
        32,
        16,
    ),
}
PAPER_TRUNKS = [name for name in TRUNKS if name != 'tiny']


def build_model(
    method='BAS', trunk='mobilenet-v1', num_classes=5, neck=(), model=(), **head
):
    """Build a model on a named trunk, with a small head and seeded weights."""
    backbone, cut, channels, map_channels = TRUNKS[trunk]
    if method == 'BAS':
        head = dict(map_channels=map_channels, **head)
    torch.manual_seed(0)
    built = MODELS.build(
        dict(
            neck=dict(type='bas_mm.SplitNeck', **dict(cut, **dict(neck))),
            head=dict(
                dict(
                    type=f'bas_mm.{method}Head',
                    num_classes=num_classes,
                    in_channels=channels,
                    mid_channels=8,
                    init_cfg=dict(
                        type='Xavier', layer='Conv2d', distribution='uniform'
                    ),
                ),
                **head,
            ),
            **dict(
                dict(type=f'bas_mm.{method}Classifier', backbone=dict(backbone)),
                **dict(model),
            ),
        )
    )
    built.init_weights()
    return built


def make_samples(*labels):
    """Make samples with the given labels."""
    return [DataSample().set_gt_label(label) for label in labels]
