"""Figures of methods over seeds, from dumps."""

import json

import numpy as np
import pytest

from bas_mm.analysis.jobs import make_jobs
from bas_mm.analysis.method_results import Results, average
from bas_mm.analysis.methods import Method, dump_path
from bas_mm.analysis.report.runs import Column, gap
from tests.helpers.methods import make_results
from tests.helpers.report import RIGHT, WRONG, make_dump

R, W = RIGHT, WRONG


def test_each_dump_is_read_once(tmp_path, monkeypatch):
    results = make_results(tmp_path, cam=[[R, W, W], None])
    assert results.seeds('cam') == [0]
    run = results.runs['cam'][0]
    assert run.figures['wsol/gt_known'] == pytest.approx(100 / 3)
    results.update()
    assert results.runs['cam'][0] is run
    job = results.methods[0].jobs[1]
    make_dump(dump_path(job), ['i2', 'i0', 'i1'], [R, R, W])  # in another order
    job.result.write_text('{}')
    results.update()
    assert results.seeds('cam') == [0, 1] and results.runs['cam'][0] is run
    rows = results.rows('cam')
    assert [row['seed'] for row in rows] == [0, 1]
    assert rows[1]['wsol/gt_known'] == pytest.approx(200 / 3)
    assert results.runs['cam'][1].images == run.images
    assert results.thresholds('cam') == ['–', '–']


def test_other_images(tmp_path):
    results = make_results(tmp_path, cam=[[R, W], None])
    job = results.methods[0].jobs[1]
    make_dump(dump_path(job), ['i0', 'i3'], [R, W])
    job.result.write_text('{}')
    with pytest.raises(
        ValueError, match='cam, seed 1 was tested on other images.*2 ag'
    ):
        results.update()


def test_intervals_are_paired_by_seed_and_image(tmp_path):
    rng = np.random.default_rng(3)
    hits = rng.random((2, 3, 12)) < np.array([0.4, 0.7])[:, None, None]
    boxes = [[[R if hit else W for hit in run] for run in method] for method in hits]
    results = make_results(tmp_path, bootstrap=400, cam=boxes[0], bas=boxes[1])
    value, low, high = gap(*results.pair('bas', 'cam'), 'wsol/gt_known')
    # by hand: the same images for both methods and all seeds
    per_image = 100 * (hits[1].mean(0) - hits[0].mean(0))
    draws = np.random.default_rng(0)
    means = [per_image[draws.integers(12, size=12)].mean() for _ in range(400)]
    assert value == pytest.approx(per_image.mean())
    assert [low, high] == pytest.approx(np.quantile(means, [0.025, 0.975]).tolist())


def test_only_shared_seeds_are_compared(tmp_path):
    results = make_results(tmp_path, cam=[[R, W], [W, W]], bas=[None, [R, R]])
    ours, theirs = results.pair('bas', 'cam')
    assert gap(ours, theirs, 'wsol/gt_known')[0] == 100  # seed 1 alone
    results = make_results(tmp_path / 'x', cam=[[R, W], None], bas=[None, [R, R]])
    with pytest.raises(ValueError, match='cam and bas share no seed'):
        results.pair('cam', 'bas')


def test_what_one_run_lacks_has_no_mean():
    a, b = Column('a', 'red'), Column('a', 'red')
    a.figures, b.figures = {'x': 1.0, 'y': 2.0}, {'x': 3.0}
    a.resampled, b.resampled = {'x': np.ones(2), 'y': np.ones(2)}, {'x': np.zeros(2)}
    a.has = np.ones((2, 2), bool)
    mean = average('m', [a, b])
    assert mean.name == 'm' and mean.figures['x'] == 2 and np.isnan(mean.figures['y'])
    assert list(mean.resampled) == ['x'] and mean.resampled['x'].tolist() == [0.5] * 2
    assert mean.has is a.has


def test_baselines(tmp_path):
    results = make_results(tmp_path, cam=[[R, W, W]])
    whole, center = results.baselines()
    assert [whole.name, center.name] == ['whole view', 'centered box']
    # (2, 2, 12, 12) fills a quarter of the view of 20 x 20; 0.7 of the sides are
    # (3, 3, 17, 17), which share 9 x 9 pixels with it
    assert whole.value('wsol/gt_known') == 0
    assert 0.3 < 81 / (100 + 196 - 81) < 0.5
    assert center.value('wsol/gt_known') == 0
    assert center.value('wsol/gt_known_iou30') == 100
    assert whole.value('wsol/gt_known_iou30') == 0
    assert results.baselines()[0] is whole


def test_no_run_yet(tmp_path):
    jobs = dict(enumerate(make_jobs(['a'], [0], tmp_path)['a']))
    results = Results([Method('a', None, jobs)], 0)
    results.update()
    assert results.done == [] and results.rows('a') == []
    assert json.dumps(results.seeds('a')) == '[]'
