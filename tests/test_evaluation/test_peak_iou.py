import numpy as np
import pytest

from bas_mm.evaluation import PeakIoU


def run(samples):
    metric = PeakIoU()
    metric.process({}, [dict(s, sample_idx=i) for i, s in enumerate(samples)])
    return metric.evaluate(len(samples)), metric


def test_equals_definition():
    rng = np.random.default_rng(0)
    samples, levels = [], []
    for h, w in [(9, 12), (20, 6)]:
        q = rng.integers(0, 256, (h, w))
        q[0, :2] = 0, 255
        mask = (q + rng.normal(0, 60, (h, w)) > 120).astype(int)
        mask[1] = 255
        # Half a level more, which is cut off, except at the ends.
        pred_map = q + 0.5 * ((q > 0) & (q < 255))
        samples.append(dict(pred_map=pred_map / 4 + 3, gt_seg_map=mask))
        levels.append(q)
    q = np.concatenate([x.ravel() for x in levels])
    g = np.concatenate([x['gt_seg_map'].ravel() for x in samples])
    q, g = q[g != 255], g[g != 255]
    curve = [
        100 * ((q >= t) & (g == 1)).sum() / ((q >= t) | (g == 1)).sum()
        for t in range(256)
    ]
    result, metric = run(samples)
    np.testing.assert_allclose(metric.curve, curve)
    assert result == {
        'wsol/peak_iou': pytest.approx(max(curve)),
        'wsol/peak_t': int(np.argmax(curve)),
    }
    assert 0 < result['wsol/peak_t'] < 255


def test_first_peak_and_maps_without_contrast():
    mask = np.zeros((4, 4), np.uint8)
    mask[:2] = 1
    result, _ = run([dict(pred_map=mask, gt_seg_map=mask)])
    assert result == {'wsol/peak_iou': 100, 'wsol/peak_t': 1}
    for m in (np.ones((2, 2)), np.full((2, 2), np.nan), np.zeros((0, 2))):
        result, _ = run([dict(pred_map=m, gt_seg_map=mask)])
        assert result == {'wsol/peak_iou': 50, 'wsol/peak_t': 0}


def test_left_out_and_no_foreground():
    result, metric = run(
        [
            dict(pred_map=np.eye(3), gt_seg_map=np.zeros((3, 3))),
            dict(pred_map=np.eye(3)),
        ]
    )
    assert result == {'wsol/peak_iou': 0, 'wsol/peak_t': 0, 'wsol/peak_num_no_mask': 1}
    assert not metric.curve.any()
