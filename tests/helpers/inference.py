"""A tiny CAM with its checkpoint, for tests of inference."""

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS

CONFIG = """
default_scope = 'mmpretrain'
model = dict(
    type='bas_mm.CAMClassifier',
    data_preprocessor=dict(mean=[120] * 3, std=[60] * 3, to_rgb=True),
    backbone=dict(type='ResNet', depth=18, base_channels=4, stem_channels=4,
                  strides=(1, 2, 1, 1)),
    neck=dict(type='bas_mm.SplitNeck', start='layer4'),
    head=dict(type='bas_mm.CAMHead', num_classes=3, in_channels=32,
              num_convs=0, final_relu=False, topk=2, threshold=0.4))
test_dataloader = dict(dataset=dict(
    type='bas_mm.CustomLocalization', data_root='nowhere',
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='bas_mm.LoadLocAnnotations'),
        dict(type='Resize', scale=(64, 64), keep_ratio=False,
             backend='pillow', interpolation='bilinear'),
        dict(type='CenterCrop', crop_size=48),
        dict(type='bas_mm.PackLocInputs')]))
train_dataloader = dict(dataset=dict(
    type='bas_mm.CustomLocalization', data_root='nowhere',
    pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')]))
"""
CLASSES = ('red kite, Milvus', 'cat', 'grey cat')


def make_files(folder, classes=CLASSES):
    """Write a config file and a checkpoint that carries it."""
    (folder / 'tiny.py').write_text(CONFIG)
    cfg = Config.fromfile(folder / 'tiny.py')
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg.model)
    torch.save(
        dict(
            state_dict=model.state_dict(),
            meta=dict(cfg=cfg.pretty_text, dataset_meta=dict(classes=classes)),
        ),
        folder / 'tiny.pth',
    )
    return folder


def make_folder(folder):
    """Write a config, a checkpoint, and six images of three classes."""
    make_files(folder, ('a', 'b', 'c'))
    rng = np.random.default_rng(0)
    for i in range(6):
        path = folder / 'data' / 'abc'[i // 2] / f'{i}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 255, (40 + i, 60, 3)).astype(np.uint8))
    return folder


def decode(rle):
    """Decode a mask by the definition: runs down the columns, background first."""
    height, width = rle['size']
    pixels, value = [], 0
    for count in rle['counts']:
        pixels += [value] * count
        value = 1 - value
    return np.array(pixels, bool).reshape(width, height).T
