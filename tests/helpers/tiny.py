"""A tiny BAS or CAM on nine drawn images."""

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

import bas_mm  # noqa: F401

CONFIG = """
default_scope = 'mmpretrain'
load = [dict(type='LoadImageFromFile'),
        dict(type='bas_mm.LoadLocAnnotations', threshold=128)]
pipeline = load + [dict(type='Resize', scale=(80, 80)),
                   dict(type='CenterCrop', crop_size=64),
                   dict(type='bas_mm.PackLocInputs')]
dataset = dict(
    type='bas_mm.ToyLocalization', data_root='toy', num_classes=3,
    train_per_class=3, test_per_class=3, image_size=72, pipeline=pipeline)
train_dataloader = dict(
    batch_size=5, num_workers=0,
    dataset=dict(
        dataset, split='train',
        pipeline=[dict(type='LoadImageFromFile'),
                  dict(type='Resize', scale=(80, 80)),
                  dict(type='RandomCrop', crop_size=64),
                  dict(type='RandomFlip', prob=0.5),
                  dict(type='PackInputs')]),
    sampler=dict(type='DefaultSampler', shuffle=True))
test_dataloader = dict(
    batch_size=4, num_workers=0,
    dataset=dict(dataset, split='test', test_mode=True),
    sampler=dict(type='DefaultSampler', shuffle=False))
val_dataloader = test_dataloader
test_evaluator = dict(type='bas_mm.WSOLAccuracy')
val_evaluator = test_evaluator
train_cfg = dict(by_epoch=True, max_epochs=2)
val_cfg = dict()
test_cfg = dict()
default_hooks = dict(checkpoint=dict(type='CheckpointHook', max_keep_ckpts=1))
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01))
model = dict(
    type='bas_mm.METHODClassifier',
    data_preprocessor=dict(mean=[120] * 3, std=[60] * 3, to_rgb=True),
    backbone=dict(type='bas_mm.MobileNetV1'),
    neck=dict(type='bas_mm.SplitNeck', start='model.12'),
    head=dict(
        type='bas_mm.METHODHead', num_classes=3, in_channels=1024,
        mid_channels=8, final_relu=False, topk=2, threshold=0.3,
        MORE
        init_cfg=dict(type='Xavier', layer='Conv2d', distribution='uniform')))
visualizer = dict(type='bas_mm.WSOLVisualizer')
"""
BAS = "map_channels=512, loss=dict(type='bas_mm.AMCLoss', alpha=0.5),"


def write_config(folder, method='BAS'):
    """Write ``bas.py`` or ``cam.py`` into a folder, its data beside it."""
    path = folder / f'{method.lower()}.py'
    text = CONFIG.replace('METHOD', method).replace(
        'MORE', BAS if method == 'BAS' else ''
    )
    path.write_text(text.replace("'toy'", repr(str(folder / 'toy'))))
    return path


def build(path, **head):
    """Config and model in eval mode, the same weights each time."""
    init_default_scope('mmpretrain')
    cfg = Config.fromfile(path)
    cfg.model.head.update(head)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    # statistics as after training: a fresh trunk's features vanish in eval
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    model.train()
    with torch.no_grad():
        model.extract_feat(torch.randn(8, 3, 64, 64))
    model.eval()
    return cfg, model


def save(path, checkpoint):
    """Write a checkpoint of the model of a config."""
    torch.save(build(path)[1].state_dict(), checkpoint)
    return checkpoint
