"""Samples as a model and a data set give them, and metrics on them."""

import json

import numpy as np
import torch
from mmengine.evaluator import Evaluator

from bas_mm.evaluation import (
    DumpMaps,
    LocBreakdown,
    LocErrors,
    MapDump,
    MaxBoxAcc,
    PeakIoU,
    PxAP,
    WSOLAccuracy,
)

SUITE = (WSOLAccuracy, MaxBoxAcc, PxAP, PeakIoU, LocErrors, LocBreakdown)


def make_sample(i, size=24):
    """A sample with all fields; the same for the same number."""
    rng = np.random.default_rng(i)
    x, y = rng.integers(0, size // 2, 2)
    mask = np.zeros((size, size), np.uint8)
    mask[y : y + size // 2, x : x + size // 2] = 1
    return dict(
        sample_idx=i,
        img_path=f'{i}.jpg',
        img_shape=(size, size),
        gt_label=[i % 3],
        pred_score=rng.random(3),
        pred_map=rng.random((4, 4)),
        gt_bboxes=[[x, y, x + size // 2, y + size // 2]],
        gt_seg_map=mask,
    )


def make_suite():
    """One of each metric."""
    return [cls() for cls in SUITE]


def evaluate(metrics, samples, size):
    """The figures of samples that come one by one."""
    evaluator = Evaluator(metrics)
    for sample in samples:
        evaluator.process([sample])
    return evaluator.evaluate(size)


def as_text(result):
    """For comparison: NaN equals NaN, and every digit counts."""
    return json.dumps(result, sort_keys=True)


def make_prediction(i, **changes):
    """A sample with a box and a small map, as a model gives it."""
    sample = make_sample(i)
    box = sample['gt_bboxes'][0] if i % 2 else [1, 2, 9, 7 + i]
    sample.update(
        pred_bbox=np.array(box, np.float32),
        pred_map=torch.rand(3, 5, generator=torch.Generator().manual_seed(i)),
        img_path=f'data/{i % 2}.x/{i}.JPEG',
        ori_shape=(30, 40),
    )
    sample.update(changes)
    return sample


def dump(out, samples, views=None, **options):
    """Write samples with ``DumpMaps`` and open what it wrote."""
    metric = DumpMaps(out, **options)
    for i, sample in enumerate(samples):
        batch = {} if views is None else dict(inputs=[views[i]])
        metric.process(batch, [sample])
    assert metric.evaluate(len(samples)) == {}
    return MapDump(out)
