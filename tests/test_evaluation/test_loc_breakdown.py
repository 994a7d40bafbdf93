import numpy as np
import pytest

from bas_mm.evaluation import LocBreakdown


def run(boxes, gts, **options):
    metric = LocBreakdown(**options)
    for i, (box, gt) in enumerate(zip(boxes, gts)):
        sample = dict(sample_idx=i, img_shape=(100, 200), pred_bbox=box)
        if gt is not None:
            sample['gt_bboxes'] = np.array(gt, float).reshape(-1, 4)
        metric.process({}, [sample])
    return {k.removeprefix('wsol/'): v for k, v in metric.evaluate(len(boxes)).items()}


def test_iou_of_the_right_boxes():
    gt = [[0, 0, 99, 99]]
    # IoU 0.4, 0.5, 0.56, 0.6, 0.85, 1
    boxes = [[0, 0, 99, x - 1] for x in (40, 50, 56, 60, 85, 100)]
    result = run(boxes, [gt] * 6)
    assert result['iou_median'] == pytest.approx(72.5)  # of the last four
    shares = [result[f'iou_hist_{x}_{x + 10}'] for x in range(50, 100, 10)]
    assert shares == [25, 25, 0, 25, 25]
    result = run(boxes, [gt] * 6, compare='>=', iou_bins=(0.5, 0.75, 1))
    assert result['iou_median'] == pytest.approx(60)
    assert result['iou_hist_50_75'] == pytest.approx(60)
    assert result['iou_hist_75_100'] == pytest.approx(40)


def test_accuracy_by_size():
    right, wrong = None, [190, 90, 199, 99]
    cases = [  # box, ground truth; the view has 20000 pixels
        (right, [[0, 0, 40, 100]]),  # exactly 0.2
        (wrong, [[0, 0, 20, 100]]),
        (right, [[0, 0, 41, 100]]),
        (wrong, [[0, 0, 160, 100]]),  # exactly 0.8
        (right, [[0, 0, 160, 100], [0, 0, 10, 10]]),  # the largest one
        (right, [[-9, 0, 200, 100]]),  # reaches out of the view
        (wrong, [[0, 0, 0, 100]]),  # no area: in no bin
        (wrong, None),
    ]
    result = run(
        [gt[0] if box is right else box for box, gt in cases], [gt for _, gt in cases]
    )
    assert result['gt_known_size_0_20'] == 50
    assert result['num_size_0_20'] == 2
    assert result['gt_known_size_20_80'] == pytest.approx(200 / 3)
    assert result['num_size_20_80'] == 3
    assert result['gt_known_size_80_100'] == 100
    assert result['num_size_80_100'] == 1
    assert result['breakdown_num_no_box'] == 1
    other = run([[0, 0, 40, 100]], [[[0, 0, 40, 100]]], size_bins=(0, 0.1, 1))
    assert other['num_size_0_10'] == 0 and other['num_size_10_100'] == 1
    assert np.isnan(other['gt_known_size_0_10'])


def test_nothing_right():
    result = run([[0, 0, 5, 5]], [[[50, 50, 90, 90]]])
    assert np.isnan(result['iou_median'])
    assert np.isnan(result['iou_hist_90_100'])


@pytest.mark.parametrize(
    'option, match',
    [
        (dict(iou_bins=(0.5,)), 'iou_bins'),
        (dict(iou_bins=(0.5, 0.4)), 'iou_bins'),
        (dict(size_bins=(0, 2)), 'size_bins'),
    ],
)
def test_wrong_bins(option, match):
    with pytest.raises(ValueError, match=f'{match}.*rising numbers'):
        LocBreakdown(**option)
