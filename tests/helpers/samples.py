"""Samples as a model and a data set give them, and metrics on them."""

import json

import numpy as np
from mmengine.evaluator import Evaluator

from bas_mm.evaluation import (
    LocBreakdown,
    LocErrors,
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
