import numpy as np
import pytest

from bas_mm.evaluation import LocErrors

GT = [20, 20, 59, 59]  # 40 x 40 with the far edge


def kind(box, gt=(GT,), scores=(0.9, 0.1), label=0, **options):
    metric = LocErrors(**options)
    sample = dict(
        gt_label=[label], img_shape=(100, 100), pred_bbox=box, gt_bboxes=np.array(gt)
    )
    if scores is not None:
        sample['pred_score'] = scores
    metric.process({}, [sample])
    result = metric.evaluate(1)
    assert set(result) == {f'wsol/{k}' for k in LocErrors.KINDS}
    assert sum(result.values()) == 100
    return max(result, key=result.get).removeprefix('wsol/err_')


TWO = [[0, 0, 19, 99], [30, 0, 49, 99]]


@pytest.mark.parametrize(
    'expected, box, options',
    [
        ('cls', GT, dict(label=1)),
        ('correct', GT, dict()),
        ('correct', GT, dict(label=1, scores=None)),
        ('correct', [20, 20, 59, 41], dict()),
        ('part', [20, 20, 59, 39], dict()),  # IoU is 0.5 and no more
        ('correct', [20, 20, 59, 39], dict(compare='>=')),
        ('correct', [20, 20, 59, 29], dict(iou_thr=0.2)),
        ('part', [20, 20, 29, 29], dict()),
        ('other', [10, 20, 28, 59], dict(gt=[GT, [80, 80, 90, 90]])),  # 9 of 19
        ('more', [0, 0, 99, 99], dict()),
        ('multi', [0, 0, 49, 99], dict(gt=[*TWO, [60, 0, 99, 99]])),
        ('correct', [0, 0, 31, 99], dict(gt=TWO)),
        ('other', [40, 40, 79, 79], dict()),
        ('other', [80, 80, 99, 99], dict()),
        ('other', [80, 80, 99, 99], dict(gt=[[80, 80, 80, 99]])),  # vanished
    ],
)
def test_kinds(expected, box, options):
    assert kind(box, **options) == expected


def test_thresholds_of_the_kinds():
    # 16 of 40 columns are 0.4 of the ground truth; box 32 wide: a half.
    assert kind([4, 20, 35, 59]) == 'other'
    assert kind([5, 20, 35, 59]) == 'part'
    # 28 of 40 columns are exactly 0.7.
    assert kind([0, 0, 47, 99]) == 'more'
    assert kind([0, 0, 46, 99]) == 'other'
    # 6 of 20 columns are exactly 0.3: not covered.
    gt = [[0, 0, 19, 99], [30, 0, 49, 99]]
    assert kind([14, 0, 36, 99], gt=gt) == 'other'
    assert kind([13, 0, 36, 99], gt=gt) == 'multi'


def test_no_class_is_wrong_without_a_label():
    metric = LocErrors()
    sample = dict(pred_bbox=GT, pred_score=[1, 0], gt_bboxes=[GT], img_shape=(100, 100))
    metric.process({}, [sample])
    assert metric.evaluate(1)['wsol/err_cls'] == 0


def test_box_from_the_map_and_left_out():
    pred_map = np.zeros((100, 100))
    pred_map[20:60, 20:60] = 1
    metric = LocErrors(threshold=0.5)
    metric.process(
        {},
        [
            dict(
                sample_idx=0,
                gt_label=[0],
                pred_score=[1, 0],
                gt_bboxes=[GT],
                img_shape=(100, 100),
                pred_map=pred_map,
                pred_bbox=[0, 0, 1, 1],
            ),
            dict(sample_idx=1, gt_label=[0]),
        ],
    )
    result = metric.evaluate(2)
    assert result['wsol/err_correct'] == 100
    assert result['wsol/err_num_no_box'] == 1


def test_the_threshold_cannot_be_the_best():
    with pytest.raises(ValueError, match=r"threshold='best'.*or 'otsu' or 'auto'\."):
        LocErrors(threshold='best')
