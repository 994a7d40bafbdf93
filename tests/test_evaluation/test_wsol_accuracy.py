import json

import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample

from bas_mm.evaluation import LocBreakdown, LocErrors, WSOLAccuracy
from bas_mm.registry import METRICS


def make_sample(i, label=0, scores=(0.6, 0.3, 0.1), box=None, gt=None, **fields):
    sample = DataSample(
        metainfo=dict(
            img_path=f'root/c{label}/{i}.jpg', sample_idx=i, img_shape=(100, 100)
        )
    )
    sample.set_gt_label(label)
    if scores is not None:
        sample.set_pred_score(torch.tensor(scores))
    if box is not None:
        sample.pred_bbox = torch.tensor(box).float()
    if gt is not None:
        sample.gt_bboxes = torch.tensor(gt).float().reshape(-1, 4)
    for key, value in fields.items():
        sample.set_field(value, key)
    return sample


def run(metric, samples, size=None):
    metric.process({}, samples)
    return metric.evaluate(len(samples) if size is None else size)


GOOD = [10, 10, 60, 60]
BAD = [70, 70, 90, 90]
# class, box: right and right; right and wrong; wrong and right; ...
SAMPLES = [
    dict(label=0, box=GOOD, gt=[GOOD]),
    dict(label=0, box=BAD, gt=[GOOD]),
    dict(label=1, box=GOOD, gt=[BAD, GOOD]),
    dict(label=1, scores=(0.1, 0.6, 0.3), box=GOOD, gt=[GOOD]),
    dict(label=1, scores=(0.1, 0.6, 0.3), box=GOOD, gt=[GOOD]),
    dict(label=2, scores=(0.1, 0.6, 0.3)),
]


def test_by_hand():
    samples = [make_sample(i, **x) for i, x in enumerate(SAMPLES)]
    result = run(WSOLAccuracy(), samples)
    expected = dict(
        top1_cls=4 / 6,
        top1_cls_cls_mean=(1 + 2 / 3 + 0) / 3,
        top5_cls=1,
        top5_cls_cls_mean=1,
        top1_loc=3 / 5,
        top1_loc_cls_mean=(1 / 2 + 2 / 3) / 2,
        top5_loc=4 / 5,
        top5_loc_cls_mean=(1 / 2 + 1) / 2,
        gt_known=4 / 5,
        gt_known_cls_mean=(1 / 2 + 1) / 2,
    )
    for key, value in expected.items():
        assert result[f'wsol/{key}'] == pytest.approx(100 * value), key
    assert result['wsol/num_images'] == 6
    assert result['wsol/num_images_no_box'] == 1
    # The whole view covers a quarter of GOOD; so does the centered box.
    assert result['wsol/gt_known_whole'] == 0
    # Dicts and data samples, one by one or together, are the same.
    metric = METRICS.build(dict(type='WSOLAccuracy'))
    for sample in samples:
        metric.process({}, [sample.to_dict()])
    assert metric.evaluate(6) == result


def test_top5_means_five():
    scores = torch.linspace(1, 0, 9)
    result = run(
        WSOLAccuracy(),
        [
            make_sample(i, label=i, scores=scores.tolist(), box=GOOD, gt=[GOOD])
            for i in range(9)
        ],
    )
    assert (
        result['wsol/top5_cls'] == result['wsol/top5_loc'] == (pytest.approx(500 / 9))
    )
    assert result['wsol/top1_cls'] == pytest.approx(100 / 9)


def test_image_independent_baselines():
    # IoU of the whole view with the left 51 columns: (52 * 101) / 101 ** 2.
    result = run(
        WSOLAccuracy(),
        [
            make_sample(0, box=GOOD, gt=[[0, 0, 51, 100]]),
            make_sample(1, box=GOOD, gt=[[0, 0, 49, 100]]),
            make_sample(2, box=GOOD, gt=[[15, 15, 85, 85]]),
        ],
    )
    assert result['wsol/gt_known_whole'] == pytest.approx(100 / 3)
    assert result['wsol/gt_known_center'] == pytest.approx(100 / 3)
    result = run(
        WSOLAccuracy(center_side=0.5),
        [
            make_sample(0, box=GOOD, gt=[[15, 15, 85, 85]]),
            make_sample(1, box=GOOD, gt=[[25, 25, 75, 75]]),
        ],
    )
    assert result['wsol/gt_known_center'] == 100
    assert result['wsol/gt_known_center_cls_mean'] == 100


def test_strict_or_not():
    # 1 x 1 pixel of 2: exactly one half.
    sample = make_sample(0, box=[3, 3, 3, 3], gt=[[3, 3, 4, 3.0001]])
    exact = make_sample(0, box=[0, 0, 9, 4], gt=[[0, 0, 9, 9]])
    assert run(WSOLAccuracy(), [exact])['wsol/gt_known'] == 0
    assert run(WSOLAccuracy(compare='>='), [exact])['wsol/gt_known'] == 100
    assert run(WSOLAccuracy(iou_thr=0.49), [exact])['wsol/gt_known'] == 100
    assert run(WSOLAccuracy(), [sample])['wsol/gt_known'] == 0


def test_iou_levels():
    samples = [
        make_sample(0, box=[0, 0, 9, 3], gt=[[0, 0, 9, 9]]),  # 0.4
        make_sample(1, box=[0, 0, 9, 5], gt=[[0, 0, 9, 9]]),  # 0.6
        make_sample(2, box=[0, 0, 9, 7], gt=[[0, 0, 9, 9]]),
    ]  # 0.8
    result = run(WSOLAccuracy(), samples)
    assert result['wsol/gt_known_iou30'] == 100
    assert result['wsol/gt_known'] == pytest.approx(200 / 3)
    assert result['wsol/top1_loc_iou70'] == pytest.approx(100 / 3)
    assert result['wsol/top1_loc_iou70_cls_mean'] == pytest.approx(100 / 3)
    assert 'wsol/gt_known_iou50' not in result
    result = run(WSOLAccuracy(iou_thr=0.7, iou_thrs=()), samples)
    assert result['wsol/gt_known'] == pytest.approx(100 / 3)
    assert not any('iou' in key for key in result)


def peaked(h=10, w=10, **levels):
    """A map of steps: 1 in the middle, lower rings around it."""
    y, x = np.mgrid[:h, :w]
    return 1 - np.maximum(abs(2 * y - h + 1), abs(2 * x - w + 1)) / max(h, w)


def test_threshold():
    steps = torch.tensor(peaked())  # 0.1, 0.3, .., 0.9 -> 0, 0.25, .., 1
    gt = [[20, 20, 80, 80]]

    def known(metric, box=None):
        return run(metric, [make_sample(0, box=box, gt=gt, pred_map=steps)])[
            'wsol/gt_known'
        ]

    assert known(WSOLAccuracy()) == 100  # 0.15: 80 x 80 pixels or so
    assert known(WSOLAccuracy(), BAD) == 0  # its own box comes first
    assert known(WSOLAccuracy(threshold=0.15), BAD) == 100
    assert known(WSOLAccuracy(threshold=0.8)) == 0


def test_best_threshold_equals_trying_each():
    rng = np.random.default_rng(0)
    samples = []
    for i in range(12):
        x, y = rng.integers(0, 50, 2)
        samples.append(
            make_sample(
                i,
                label=i % 2,
                gt=[[x, y, x + 40, y + 35]],
                pred_map=rng.random((4, 4)),
                box=BAD,
            )
        )
    result = run(WSOLAccuracy(threshold='best'), samples)
    each = [run(WSOLAccuracy(threshold=t / 100), samples) for t in range(101)]
    known = [x['wsol/gt_known'] for x in each]
    best = int(np.argmax(known))
    assert 0 < best and max(known) > known[0]
    assert result.pop('wsol/threshold') == best / 100
    assert result == each[best]


def test_otsu_threshold():
    pred_map = np.zeros((100, 100))
    pred_map[20:80, 20:80] = 0.4  # the object
    pred_map[45:55, 45:55] = 1  # its strongest part
    sample = make_sample(0, box=BAD, gt=[[20, 20, 80, 80]], pred_map=pred_map)
    assert run(WSOLAccuracy(threshold='otsu'), [sample])['wsol/gt_known_iou70'] == 100
    assert run(WSOLAccuracy(threshold=0.5), [sample])['wsol/gt_known_iou70'] == 0
    assert run(WSOLAccuracy(), [sample])['wsol/gt_known'] == 0  # its own box
    flat = make_sample(0, gt=[[0, 0, 100, 100]], pred_map=np.ones((4, 4)))
    assert run(WSOLAccuracy(threshold='otsu'), [flat])['wsol/gt_known'] == 100
    for metric in (LocErrors, LocBreakdown):
        result = run(metric(threshold='otsu'), [sample])
        assert result.get('wsol/err_correct', result.get('wsol/iou_median')) == 100


def test_best_threshold_needs_maps():
    with pytest.raises(ValueError, match='needs pred_map.*root/c0/0.jpg'):
        run(WSOLAccuracy(threshold='best'), [make_sample(0, box=GOOD, gt=[GOOD])])


def test_vanished_boxes_count_as_wrong():
    result = run(
        WSOLAccuracy(),
        [
            make_sample(0, box=[0, 10, 0, 90], gt=[[0, 10, 0, 90]]),
            make_sample(1, box=GOOD, gt=[GOOD]),
        ],
    )
    assert result['wsol/gt_known'] == 50
    assert 'wsol/num_images_no_box' not in result


@pytest.fixture
def warnings(monkeypatch):
    """What is said to the log."""
    said = []
    monkeypatch.setattr(
        'bas_mm.evaluation.wsol_accuracy.print_log',
        lambda message, *args: said.append(message),
    )
    return said


def test_no_boxes_at_all(warnings):
    result = run(WSOLAccuracy(), [make_sample(0), make_sample(1, gt=[])])
    assert result == {
        'wsol/top1_cls': 100,
        'wsol/top1_cls_cls_mean': 100,
        'wsol/top5_cls': 100,
        'wsol/top5_cls_cls_mean': 100,
        'wsol/num_images': 2,
        'wsol/num_images_no_box': 2,
    }
    assert len(warnings) == 1 and 'no image has ground-truth' in warnings[0]


def test_no_scores():
    result = run(WSOLAccuracy(), [make_sample(0, scores=None, box=GOOD, gt=[GOOD])])
    assert result['wsol/gt_known'] == 100
    assert not any('top' in key for key in result)
    with pytest.raises(ValueError, match='either every sample or none'):
        run(WSOLAccuracy(), [make_sample(0, scores=None), make_sample(1)])


@pytest.mark.parametrize('kind', ['npz', 'json', 'csv'])
def test_scores_of_another_model(tmp_path, kind):
    scores = {'c0/0.jpg': [0.1, 0.9, 0], 'x/root/c1/1.jpg': [0.1, 0.9, 0]}
    path = str(tmp_path / f's.{kind}')
    if kind == 'npz':
        np.savez(path, **scores)
    elif kind == 'json':
        open(path, 'w').write(json.dumps(scores))
    else:
        open(path, 'w').write(
            'image,a,b,c\n'
            + ''.join(f'{k},{",".join(map(str, v))}\n' for k, v in scores.items())
        )
    samples = [make_sample(i, label=i, box=GOOD, gt=[GOOD]) for i in range(2)]
    assert run(WSOLAccuracy(), samples)['wsol/top1_loc_cls_mean'] == 50
    result = run(WSOLAccuracy(scores=path), samples)
    assert result['wsol/top1_cls'] == result['wsol/top1_loc'] == 50
    assert result['wsol/top5_loc'] == 100
    one = run(WSOLAccuracy(scores=path), samples[1:])
    assert one['wsol/top1_loc'] == 100  # by the file, not by the model
    with pytest.raises(KeyError, match="no entries for the image 'root/c0/7"):
        run(WSOLAccuracy(scores=path), [make_sample(7)])


def test_without_labels(warnings):
    samples = [make_sample(i, box=GOOD, gt=[GOOD]) for i in range(2)]
    for sample in samples:
        del sample['gt_label']
    result = run(WSOLAccuracy(), samples)
    assert result['wsol/gt_known'] == 100 and result['wsol/num_images'] == 2
    assert not any('top' in key or 'cls_mean' in key for key in result)
    assert len(warnings) == 1 and 'carry no gt_label' in warnings[0]
    with pytest.raises(ValueError, match='needs pred_score and gt_label'):
        run(WSOLAccuracy(), [samples[0], make_sample(1, box=GOOD, gt=[GOOD])])


def test_missing_fields():
    sample = make_sample(0, gt=[GOOD])
    with pytest.raises(ValueError, match='WSOLAccuracy needs pred_map'):
        run(WSOLAccuracy(), [sample])
    with pytest.raises(ValueError, match=r'pred_bbox .* shape \(2, 4\)'):
        run(WSOLAccuracy(), [make_sample(0, box=[GOOD, GOOD], gt=[GOOD])])
    with pytest.raises(ValueError, match='needs img_shape.*PackInputs'):
        run(WSOLAccuracy(), [dict(gt_label=[0], gt_bboxes=[GOOD])])


@pytest.mark.parametrize('gt', [[[0, 0, 1]], [[0, 0, np.nan, 1]]])
def test_wrong_boxes(gt):
    with pytest.raises(ValueError, match='gt_bboxes'):
        run(
            WSOLAccuracy(),
            [
                dict(
                    gt_label=[0],
                    img_shape=(9, 9),
                    pred_bbox=GOOD,
                    gt_bboxes=np.array(gt),
                )
            ],
        )


@pytest.mark.parametrize(
    'option, match',
    [
        (dict(threshold=2), 'threshold=2'),
        (
            dict(threshold='worst'),
            r"threshold='worst'.*'otsu' or 'auto' or 'best'",
        ),
        (dict(iou_thr=-1), 'iou_thr=-1'),
        (dict(iou_thrs=(0.3, 7)), 'iou_thrs=7'),
        (dict(compare='<'), "compare='<'"),
        (dict(map_compare='='), "map_compare='='"),
        (dict(center_side=0), 'side=0'),
    ],
)
def test_wrong_options(option, match):
    with pytest.raises(ValueError, match=match):
        WSOLAccuracy(**option)
