import cv2
import numpy as np
import pytest
import torch

from bas_mm.evaluation import MaxBoxAcc
from tests.helpers.references import benchmark_boxes, benchmark_levels, count_iou


def reference(samples, step, interpolation=cv2.INTER_LINEAR):
    """The benchmark, image by image and threshold by threshold."""
    thresholds = np.arange(0, 1, step)
    count = np.zeros((4, len(thresholds)))
    for sample in samples:
        levels = benchmark_levels(
            sample['pred_map'], sample['img_shape'], interpolation
        )
        gts = np.array(sample['gt_bboxes']).astype(int).tolist()
        for i, t in enumerate(thresholds):
            boxes, largest = benchmark_boxes(levels, t)
            best = [max(count_iou(b, g) for g in gts) for b in boxes]
            count[0, i] += best[largest] >= 0.5
            count[1:, i] += max(best) >= np.array([0.3, 0.5, 0.7])
    result = {}
    for name, row in zip(MaxBoxAcc.NAMES, 100 * count / len(samples)):
        result[f'wsol/{name}'] = row.max()
        result[f'wsol/{name}_t'] = thresholds[row.argmax()]
    result['wsol/max_box_acc_v2'] = np.mean(
        [result[f'wsol/max_box_acc_v2_iou{x}'] for x in (30, 50, 70)]
    )
    return result, 100 * count / len(samples)


def make_samples(num, seed):
    rng = np.random.default_rng(seed)
    samples = []
    for i in range(num):
        h, w = (int(x) for x in rng.integers(30, 60, 2))  # unequal sizes
        low = [(h, w), (5, 5), (9, 7), (4, 12)][i % 4]
        gts = []
        for _ in range(rng.integers(1, 4)):
            x, y = rng.uniform(0, w / 2), rng.uniform(0, h / 2)
            gts.append([x, y, x + rng.uniform(5, w / 2), y + rng.uniform(5, h / 2)])
        pred_map = rng.random(low).astype(np.float32)
        if i % 5 == 4:
            pred_map = np.round(pred_map * 3)
        samples.append(
            dict(sample_idx=i, img_shape=(h, w), gt_bboxes=gts, pred_map=pred_map)
        )
    return samples


@pytest.mark.parametrize('step', [0.01, 0.05])
def test_equals_the_benchmark(step):
    samples = make_samples(12, 0)
    metric = MaxBoxAcc(step)
    metric.process({}, samples)
    result = metric.evaluate(12)
    expected, curves = reference(samples, step)
    assert result == pytest.approx(expected)
    assert 0 < result['wsol/max_box_acc_v2_iou50'] < 100
    for name, curve in zip(MaxBoxAcc.NAMES, curves):
        np.testing.assert_allclose(metric.curve[name], curve)


@pytest.mark.parametrize('step', [0.02, 0.1])
def test_bicubic_equals_the_benchmark(step):
    samples = make_samples(12, 1)
    metric = MaxBoxAcc(step, resize='bicubic')
    metric.process({}, samples)
    result = metric.evaluate(12)
    expected, curves = reference(samples, step, cv2.INTER_CUBIC)
    assert result == pytest.approx(expected)
    for name, curve in zip(MaxBoxAcc.NAMES, curves):
        np.testing.assert_allclose(metric.curve[name], curve)
    _, others = reference(samples, step, cv2.INTER_LINEAR)
    assert (curves != others).any()


def run(*samples):
    metric = MaxBoxAcc()
    metric.process(
        {}, [dict(sample_idx=i, img_shape=(20, 20), **s) for i, s in enumerate(samples)]
    )
    return metric.evaluate(len(samples))


def test_v1_takes_the_largest_contour_v2_any():
    pred_map = torch.zeros(20, 20)
    pred_map[2:14, 2:14] = 1
    pred_map[16:19, 16:19] = 1
    result = run(dict(pred_map=pred_map, gt_bboxes=[[16, 16, 19, 19]]))
    assert result['wsol/max_box_acc'] == 0
    assert result['wsol/max_box_acc_v2'] == 100


def test_inner_contours_count():
    pred_map = np.ones((20, 20))
    pred_map[6:10, 6:10] = 0
    result = run(dict(pred_map=pred_map, gt_bboxes=[[5, 5, 11, 11]]))
    assert result['wsol/max_box_acc_v2_iou70'] == 100


def test_area_is_the_contour_s_not_the_number_of_pixels():
    pred_map = np.zeros((20, 20))
    pred_map[1:3, 1:18] = 1  # 34 pixels, contour area 16
    pred_map[[6, 12], 6:13] = pred_map[6:13, [6, 12]] = 1  # 24, area 36
    result = run(dict(pred_map=pred_map, gt_bboxes=[[6, 6, 13, 13]]))
    assert result['wsol/max_box_acc'] == 100


@pytest.mark.parametrize(
    'pred_map',
    [
        np.ones((4, 4)),
        np.full((4, 4), np.nan),
        np.zeros((0, 0)),
        np.array([[np.nan, 1], [0, 1]]),
    ],
)
def test_maps_without_contrast_are_the_box_of_the_first_pixel(pred_map):
    assert (
        run(dict(pred_map=pred_map, gt_bboxes=[[0, 0, 20, 20]]))['wsol/max_box_acc_v2']
        == 0
    )
    # IoU of (0, 0, 0, 0) with (0, 0, 1, 0.9), truncated: 1 / 2.
    assert (
        run(dict(pred_map=pred_map, gt_bboxes=[[0, 0, 1, 0.9]]))['wsol/max_box_acc']
        == 100
    )


def test_images_without_boxes_and_vanished_boxes():
    pred_map = np.eye(20)
    result = run(
        dict(pred_map=pred_map, gt_bboxes=[[0, 0, 20, 20]]),
        dict(pred_map=pred_map),
        dict(pred_map=pred_map, gt_bboxes=np.zeros((0, 4))),
        dict(pred_map=pred_map, gt_bboxes=[[0, 0, 0, 20]]),
    )
    assert result['wsol/max_box_acc'] == 50
    assert result['wsol/max_box_acc_num_no_box'] == 2
    assert run(dict(pred_map=pred_map)) == {'wsol/max_box_acc_num_no_box': 1}


def test_no_curve_without_images():
    metric = MaxBoxAcc()
    with pytest.raises(RuntimeError, match='MaxBoxAcc: no image.*call `evaluate`'):
        _ = metric.curve
    metric.process({}, [dict(img_shape=(20, 20), pred_map=np.eye(4))])
    assert metric.evaluate(1) == {'wsol/max_box_acc_num_no_box': 1}
    with pytest.raises(RuntimeError, match='no image'):
        _ = metric.curve


def test_errors():
    with pytest.raises(ValueError, match='step=0'):
        MaxBoxAcc(step=0)
    with pytest.raises(ValueError, match=r"resize='cubic'.*\['bicubic', 'bilinear'\]"):
        MaxBoxAcc(resize='cubic')
    with pytest.raises(ValueError, match='MaxBoxAcc needs pred_map'):
        run(dict(gt_bboxes=[[0, 0, 1, 1]]))
