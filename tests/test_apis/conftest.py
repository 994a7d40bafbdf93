import cv2
import numpy as np
import pytest
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


@pytest.fixture(autouse=True)
def no_scope():
    yield
    DefaultScope._instance_dict.clear()


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


@pytest.fixture(scope='session')
def files(tmp_path_factory):
    """A folder with a config file and a checkpoint that carries it."""
    return make_files(tmp_path_factory.mktemp('apis'))


@pytest.fixture
def picture():
    """A dark picture with a bright rectangle, and the rectangle (xyxy)."""

    def make(height=120, width=200, box=(50, 30, 150, 90)):
        image = np.full((height, width, 3), 20, np.uint8)
        x0, y0, x1, y1 = box
        image[y0:y1, x0:x1] = 230
        return image, box

    return make


@pytest.fixture
def write(tmp_path):
    """Writes arrays as files."""

    def write(name, image):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), image)
        return str(path)

    return write
