import io
import logging

import numpy as np
import pytest
from mmengine.logging import MMLogger, print_log

from bas_mm.evaluation import (
    LocBreakdown,
    LocErrors,
    MaxBoxAcc,
    PeakIoU,
    PxAP,
    WSOLAccuracy,
    interval,
    intervals,
    resample,
)
from bas_mm.evaluation.bootstrap import quiet
from bas_mm.evaluation.records import pack_counts
from tests.helpers.samples import SUITE, make_sample


def measured(metric, samples):
    metric.process({}, samples)
    metric.evaluate(len(samples))
    return metric


def localized(right):
    """WSOLAccuracy on images of which those marked are localized."""
    box = [2, 2, 8, 8]
    return measured(
        WSOLAccuracy(),
        [
            dict(
                sample_idx=i,
                img_path=f'{i}',
                img_shape=(10, 10),
                gt_label=[0],
                gt_bboxes=[box],
                pred_bbox=np.array(box if x else [0, 0, 1, 1]),
            )
            for i, x in enumerate(right)
        ],
    )


def test_interval_is_that_of_a_share():
    """Against the binomial standard error; 1.96 of it on either side."""
    n, p = 400, 0.3
    values = resample(localized(np.arange(n) < p * n), 4000)['gt_known']
    error = 100 * (p * (1 - p) / n) ** 0.5
    assert values.mean() == pytest.approx(100 * p, abs=3 * error / 4000**0.5)
    assert values.std() == pytest.approx(error, rel=0.05)
    low, high = interval(values)
    assert low == pytest.approx(100 * p - 1.96 * error, abs=0.4)
    assert high == pytest.approx(100 * p + 1.96 * error, abs=0.4)


def test_difference_on_the_same_images():
    """The paired error is that of the differences, image by image."""
    n = 400
    rng = np.random.default_rng(0)
    one = rng.random(n) < 0.6
    other = one ^ (rng.random(n) < 0.1)  # two runs that mostly agree
    a, b = localized(one), localized(other)
    paired = resample(a, 4000)['gt_known'] - resample(b, 4000)['gt_known']
    error = 100 * (one.astype(float) - other).std() / n**0.5
    assert paired.std() == pytest.approx(error, rel=0.05)
    apart = resample(a, 4000, 1)['gt_known'] - resample(b, 4000)['gt_known']
    assert apart.std() > 1.5 * paired.std()
    widths = [np.subtract(*interval(x)[::-1]) for x in (paired, apart)]
    assert widths[0] < widths[1]


def draws(size, num, seed):
    rng = np.random.default_rng(seed)
    return [rng.integers(size, size=size) for _ in range(num)]


@pytest.mark.parametrize('cls', SUITE)
def test_every_metric_of_the_suite(cls):
    """Against the metric fed anew with the drawn images."""
    samples = [make_sample(i) for i in range(9)]
    metric = measured(cls(), samples)
    before = {k: v.copy() for k, v in metric.table.items()}
    found = resample(metric, 4, seed=3)
    for i, rows in enumerate(draws(9, 4, 3)):
        drawn = [dict(samples[j], sample_idx=n) for n, j in enumerate(rows)]
        again = cls()
        again.process({}, drawn)
        for key, value in again.evaluate(9).items():
            name = key.removeprefix('wsol/')
            if 'num_' not in name:
                assert found[name][i] == pytest.approx(value, nan_ok=True, abs=1e-9), (
                    name
                )
    assert not any('num_' in name for name in found)
    assert all(np.array_equal(metric.table[k], before[k]) for k in before)


def test_seed_and_level():
    metric = localized([True, False, True, True, False, True, False])
    one, same, other = (resample(metric, 20, seed)['gt_known'] for seed in (0, 0, 1))
    assert np.array_equal(one, same) and not np.array_equal(one, other)
    assert interval(np.arange(101.0), 0.9) == pytest.approx((5, 95))
    assert interval(np.array([1.0, np.nan, 1.0])) == (1, 1)
    assert all(np.isnan(interval(np.array([np.nan]))))


def test_counts_beyond_32_bits():
    """Against whole numbers of any size."""
    metric = PeakIoU()
    counts = np.random.default_rng(0).integers(2**32, size=(5, 2, 256))
    metric.table = {'counts': np.array([pack_counts(x) for x in counts], object)}
    found = resample(metric, 3)['peak_iou']
    for value, rows in zip(found, draws(5, 3, 0)):
        true, false = (
            [sum(int(counts[i, k, level]) for i in rows) for level in range(256)]
            for k in (0, 1)
        )
        peak = max(sum(true[t:]) / (sum(true) + sum(false[t:])) for t in range(256))
        assert value == pytest.approx(100 * peak)
    assert len(set(found)) == 3


def test_what_cannot_be_resampled(caplog):
    with pytest.raises(ValueError, match='num=0 resamples'):
        resample(localized([True]), 0)
    with pytest.raises(ValueError, match='level=1 must be'):
        interval(np.zeros(3), 1)
    no_mask = [dict(make_sample(i), gt_seg_map=None) for i in range(3)]
    assert resample(measured(PxAP(), no_mask), 5) == {}
    metrics = [
        measured(m, no_mask)
        for m in (
            MaxBoxAcc(),
            LocErrors(),
            LocBreakdown(),
            WSOLAccuracy('best', prefix='best'),
            PeakIoU(),
        )
    ]
    found = intervals([*metrics, object()], 5)
    assert {'wsol/max_box_acc', 'wsol/err_cls', 'best/gt_known'} <= set(found)
    assert 'wsol/peak_iou' not in found


def test_warnings_are_not_repeated():
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    with quiet():
        print_log('heard a thousand times', 'current', logging.WARNING)
        assert np.isnan(np.float64(0) / np.float64(0))
    print_log('the next one', 'current', logging.WARNING)
    logger.removeHandler(handler)
    assert heard.getvalue() == 'the next one\n'
