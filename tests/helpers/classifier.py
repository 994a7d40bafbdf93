"""A tiny stock classifier on nine images of three classes."""

import cv2
import numpy as np
import torch

CONFIG = """
default_scope = 'mmpretrain'
dataset = dict(
    type='CustomDataset', data_root='nowhere', data_prefix='',
    pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')])
train_dataloader = dict(
    batch_size=4, num_workers=0, dataset=dict(indices=8, **dataset),
    sampler=dict(type='DefaultSampler', shuffle=False))
val_dataloader = dict(
    batch_size=2, num_workers=0, dataset=dataset,
    sampler=dict(type='DefaultSampler', shuffle=False))
test_dataloader = val_dataloader
val_evaluator = [
    dict(type='Accuracy', topk=1),
    dict(type='SingleLabelMetric', average=None)]
test_evaluator = val_evaluator
train_cfg = dict(by_epoch=True, max_epochs=2)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.003, momentum=0.9))
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='ResNet', depth=18, base_channels=4, stem_channels=4,
        norm_cfg=dict(type='GN', num_groups=2)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=3, in_channels=32),
    data_preprocessor=dict(mean=[120] * 3, std=[60] * 3, to_rgb=True))
custom_hooks = [dict(type='bas_mm.GridHook', num=4, cols=2)]
visualizer = dict(type='bas_mm.WSOLVisualizer')
randomness = dict(seed=0)
"""


def make_folder(folder):
    """Write the config and the images."""
    (folder / 'tiny.py').write_text(CONFIG)
    rng = np.random.default_rng(0)
    for i in range(9):
        name = folder / 'data' / f'class{i // 3}' / f'{i % 3}.png'
        name.parent.mkdir(parents=True, exist_ok=True)
        image = rng.integers(0, 99, (32, 32, 3))
        image[..., i // 3] += 100
        cv2.imwrite(str(name), image.astype(np.uint8))
    return folder


def read_weights(path):
    """Read the weights of a checkpoint of the runner."""
    return torch.load(path, weights_only=False)['state_dict']
