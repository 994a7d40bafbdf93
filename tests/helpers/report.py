"""Tiny data, networks and dumps for the tests of reports and comparisons."""

import json
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from bas_mm.commands import main
from bas_mm.evaluation import DumpMaps

CONFIG = """
_base_ = [{base!r}]
pipeline = [
    dict(type='LoadImageFromFile'), dict(type='bas_mm.LoadLocAnnotations'),
    dict(type='Resize', scale=(40, 32)),
    dict(type='CenterCrop', crop_size=(32, 28)),
    dict(type='bas_mm.PackLocInputs')]
test_dataloader = dict(
    batch_size=4, num_workers=0,
    dataset=dict(
        type='bas_mm.CustomLocalization', data_root='nowhere', split='test',
        box_file='boxes.json', mask_dir='masks', pipeline=pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False))
val_evaluator = None
test_cfg = dict()
model = dict(
    type='bas_mm.{method}Classifier',
    backbone=dict(
        type='ResNet', depth=18, base_channels=4, stem_channels=4,
        norm_cfg=dict(type='GN', num_groups=2)),
    neck=dict(type='bas_mm.SplitNeck'{neck}),
    head=dict(
        type='bas_mm.{method}Head', num_classes=3, in_channels=32, mid_channels=8,
        topk=2, threshold=0.3, final_relu=False{head}))
"""
MORE = dict(
    CAM=dict(neck='', head=''),
    BAS=dict(
        neck=", start='layer4'",
        head=", map_channels=16, loss=dict(type='bas_mm.AMCLoss', alpha=0.5)",
    ),
)
RIGHT, WRONG = [2, 2, 12, 12], [14, 14, 20, 20]


def call(*words):
    """Run a command in this process."""
    main([str(word) for word in words])


def make_data(folder):
    """Nine images of three classes, with boxes and masks, in ``data``."""
    rng = np.random.default_rng(0)
    images, boxes = [], []
    for i in range(9):
        name = f'class{i // 3}/{i % 3}.png'
        x, y, w, h = rng.integers((4, 4, 16, 12), (20, 16, 40, 32)).tolist()
        image = rng.integers(0, 99, (48, 60, 3))
        mask = np.zeros((48, 60), np.uint8)
        mask[y : y + h, x : x + w] = 1
        image[mask > 0, i // 3] += 150
        for root, pixels in (('data/test', image), ('data/masks', mask)):
            file = folder / root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(file), pixels.astype(np.uint8))
        images.append(dict(id=i, file_name=name, width=60, height=48))
        boxes.append(dict(id=i, image_id=i, category_id=0, bbox=[x, y, w, h]))
    (folder / 'data' / 'boxes.json').write_text(
        json.dumps(
            dict(images=images, annotations=boxes, categories=[dict(id=0, name='x')])
        )
    )


def make_network(folder, name, method='CAM', seed=0):
    """A config, ``name.py``, and weights that were never trained."""
    base = Path(__file__).parents[2] / 'configs' / '_base_' / 'default_runtime.py'
    config, checkpoint = folder / f'{name}.py', folder / f'{name}.pth'
    config.write_text(CONFIG.format(base=str(base), method=method, **MORE[method]))
    torch.manual_seed(seed)
    model = build_model(config)
    torch.save(dict(state_dict=model.state_dict(), meta={}), checkpoint)
    return config, checkpoint


def build_model(config, checkpoint=None):
    """The network of :func:`make_network`."""
    init_default_scope('mmpretrain')
    model = MODELS.build(Config.fromfile(config).model)
    if checkpoint is not None:
        model.load_state_dict(torch.load(checkpoint)['state_dict'])
    return model.eval()


def make_dump(out, names, boxes, labels=True, **extra):
    """A dump without masks, views or scores; the ground truth is RIGHT."""
    metric = DumpMaps(out, **extra.pop('options', {}))
    for i, name in enumerate(names):
        sample = dict(
            sample_idx=i,
            img_path=f'data/{name}.jpg',
            img_shape=(20, 20),
            pred_map=np.eye(4),
            pred_bbox=np.array(boxes[i]),
            gt_bboxes=[RIGHT],
            **(dict(gt_label=[int(name[1:]) % 3]) if labels else {}),
            **extra,
        )
        metric.process({}, [sample])
    metric.evaluate(len(names))
    return str(out)


class Reader(HTMLParser):
    """Collects drawings, links and text; checks that tags are closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.sources, self.parts, self.tags = [], [], [], set()
        self.feed(text)
        assert self.open == []

    @property
    def words(self):
        """The text, with single blanks."""
        return ' '.join(' '.join(self.parts).split())

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.sources += [v for k, v in attrs if k in ('src', 'href')]
        if tag not in ('img', 'meta'):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.parts.append(data)
