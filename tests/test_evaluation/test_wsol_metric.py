import gc
import json
import os
import pickle
import tracemalloc

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.dataset import DefaultSampler

from bas_mm.evaluation import (
    LocBreakdown,
    LocErrors,
    MaxBoxAcc,
    PeakIoU,
    PxAP,
    WSOLAccuracy,
)
from tests.helpers.samples import as_text, evaluate, make_sample, make_suite


def test_the_suite_fits_one_evaluator():
    result = evaluate(make_suite(), map(make_sample, range(7)), 7)
    assert {
        'wsol/gt_known',
        'wsol/max_box_acc',
        'wsol/pxap',
        'wsol/peak_iou',
        'wsol/err_correct',
        'wsol/iou_median',
    } <= set(result)


def test_duplicates_count_once_in_any_order():
    expected = evaluate(make_suite(), map(make_sample, range(7)), 7)
    order = [6, 0, 3, 0, 1, 2, 2, 5, 4, 6]
    assert as_text(evaluate(make_suite(), map(make_sample, order), 7)) == as_text(
        expected
    )


def test_same_index_of_two_data_sets_is_no_duplicate():
    samples = [dict(make_sample(i), sample_idx=i % 2) for i in range(4)]
    assert evaluate(WSOLAccuracy(), samples, 4)['wsol/num_images'] == 4


def test_nameless_samples_are_cut_to_size():
    samples = [make_sample(i) for i in range(4)]
    for sample in samples:
        del sample['img_path'], sample['sample_idx']
    assert evaluate(WSOLAccuracy(), samples, 4)['wsol/num_images'] == 4
    assert evaluate(WSOLAccuracy(), samples, 3)['wsol/num_images'] == 3


def test_missing_images_are_warned_of(monkeypatch):
    said = []
    monkeypatch.setattr(
        'bas_mm.evaluation.wsol_metric.print_log',
        lambda message, *args: said.append(message),
    )
    evaluate(WSOLAccuracy(), [make_sample(0)], 2)
    assert len(said) == 1 and 'has 2 images, but 1 different' in said[0]
    assert evaluate(WSOLAccuracy(), [], 0) == {}
    assert 'no image to evaluate' in said[-1]


def test_a_metric_can_be_used_again():
    metric = WSOLAccuracy()
    first = evaluate(metric, map(make_sample, range(5)), 5)
    assert evaluate(metric, map(make_sample, range(5)), 5) == first
    metric.process({}, [make_sample(0)])
    broken = dict(make_sample(1))
    del broken['pred_score']
    metric.process({}, [broken])
    with pytest.raises(ValueError, match='either every sample or none'):
        metric.evaluate(2)
    assert evaluate(metric, map(make_sample, range(5)), 5) == first


def test_compute_is_a_function_of_the_table():
    """What a bootstrap needs: rows drawn with replacement."""
    for metric in make_suite():
        metric.process({}, [make_sample(i) for i in range(6)])
        result = metric.evaluate(6)
        rows = np.arange(6)
        assert as_text(metric.compute(metric.table)) == as_text(
            {k.removeprefix('wsol/'): v for k, v in result.items()}
        )
        twice = metric.compute(
            {k: v[np.repeat(rows, 2)] for k, v in metric.table.items()}
        )
        for key, value in metric.compute(metric.table).items():
            if not key.startswith('num_'):
                assert twice[key] == pytest.approx(value, nan_ok=True)


def work(rank, num, folder, splits):
    os.chdir(folder)
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=num
    )
    results = []
    for split in splits:
        if isinstance(split, bool):
            split = list(DefaultSampler(range(7), shuffle=False, round_up=split))
        else:
            split = split[rank]
        results.append(evaluate(make_suite(), map(make_sample, split), 7))
    with open(f'{folder}/{rank}.json', 'w') as file:
        json.dump(results, file)
    dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path):
    expected = evaluate(make_suite(), map(make_sample, range(7)), 7)
    splits = [
        True,  # padded: image 0 comes twice
        False,  # one process has more: mmengine would drop an image
        [[0, 1, 2, 3, 4, 5, 6], [6, 2]],
        [[], [3, 2, 1, 0, 6, 5, 4]],
    ]
    mp.spawn(work, (2, str(tmp_path), splits), nprocs=2)
    for rank in range(2):
        results = json.loads((tmp_path / f'{rank}.json').read_text())
        assert len(results) == len(splits)
        for result in results:
            assert as_text(result) == as_text(expected)


@pytest.mark.parametrize(
    'metric',
    [
        WSOLAccuracy(threshold='best'),
        MaxBoxAcc(step=0.001),
        PxAP(),
        PeakIoU(),
        LocErrors(),
        LocBreakdown(),
    ],
    ids=lambda m: type(m).__name__,
)
def test_memory_of_50_000_images(metric):
    """Peak of records and evaluation for 5,000 images, times 10."""
    rng = np.random.default_rng(0)
    maps = [
        np.cumsum(np.cumsum(rng.normal(size=(224, 224)), 0), 1) for _ in range(2)
    ] + [rng.random((224, 224)) for _ in range(2)]
    mask = np.zeros((224, 224), np.uint8)
    mask[50:150, 40:200] = 1
    base = dict(
        gt_label=[0],
        img_shape=(224, 224),
        gt_seg_map=mask,
        pred_score=np.ones(1000),
        gt_bboxes=[[40.0, 50, 200, 150]],
        pred_bbox=np.array([30, 40, 190, 180.0]),
    )
    for i in range(12):
        metric.process({}, [dict(base, pred_map=maps[i % 4], sample_idx=i)])
    records = [record for _, record in metric.results[1:]]
    metric.results = []
    num, scale = 5000, 10
    gc.collect()
    tracemalloc.start()
    try:
        for i in range(num):  # as process() leaves them, none shared
            record = pickle.loads(pickle.dumps(records[i % len(records)]))
            path = f'data/ILSVRC/val/ILSVRC2012_val_{i:08d}.JPEG'
            metric.results.append(((i, path), record))
        stored, _ = tracemalloc.get_traced_memory()
        metric.evaluate(num)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert stored > 100 * num  # something was measured
    assert peak * scale < 200e6
