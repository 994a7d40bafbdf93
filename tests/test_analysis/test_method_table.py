"""The table of methods side by side."""

import csv
import json

import cv2
import numpy as np
import pytest

from bas_mm.analysis.method_table import (
    BEST,
    BEST_TITLE,
    describe_threshold,
    mean_threshold,
    ratio,
    spread,
    write_table,
)
from bas_mm.analysis.report.runs import Run, gap
from bas_mm.evaluation import MapDump
from tests.helpers.methods import BAS, CAM, R, W, as_table, make_study


def test_rows(tmp_path):
    study = make_study(tmp_path, ('cam', 'bas'))
    table = as_table(study)
    assert list(table) == ['cam', 'bas (1 of 2 seeds)', 'whole view', 'centered box']
    cam, bas = table['cam'], table['bas (1 of 2 seeds)']
    assert cam['GT-known Loc'] == '37.5 ± 17.7' and bas['GT-known Loc'] == '100.0'
    assert cam['at IoU 0.7'] == '37.5 ± 17.7'
    # the first seed of both, paired
    results = study.results
    value, low, high = gap(*results.pair('bas', 'cam'), 'wsol/gt_known')
    assert value == 50 and bas['less cam'] == f'+50.0 [{low:+.1f}, {high:+.1f}]'
    assert cam['less cam'] == '' and cam['less bas'].startswith('-50.0 [')
    assert cam['threshold'] == '0.25'
    # the maps of the dumps are the same: the threshold alone is another
    best = [run.figures[BEST] for run in results.runs['cam'].values()]
    assert cam[BEST_TITLE].startswith(f'{np.mean(best):.1f} ±')
    # what is not there has no column
    assert 'PxAP' not in cam and 'Top-1 cls' not in cam
    assert not any('memory' in name for name in cam)
    assert table['whole view']['less cam'] == ''
    assert table['centered box']['GT-known Loc'] == '0.0'


def test_figures_are_those_of_the_report(tmp_path):
    """Of one dump, evaluated by itself."""
    study = make_study(tmp_path)
    text = as_table(study)['bas (1 of 2 seeds)']
    dump = MapDump(tmp_path / 'bas-seed0.npz')
    run = Run('x', 'red', dump, list(dump.entries))
    run.evaluate(0, 0)
    assert text['MaxBoxAccV2'] == run.text('wsol/max_box_acc_v2')
    assert text[BEST_TITLE] == run.text(BEST)


def test_costs(tmp_path):
    study = make_study(tmp_path, costs=dict(cam=(CAM, CAM), bas=(BAS, CAM)))
    table = as_table(study)
    cam, bas = table['cam'], table['bas (1 of 2 seeds)']
    assert cam['parameters, M (deployed)'] == '3.00 (2.50)'
    assert bas['parameters, M (deployed)'] == '3.10 (3.10)'
    assert cam['step / cam'] == cam['memory / cam'] == '1.00'
    assert bas['step / cam'] == '1.50' and bas['memory / cam'] == '–'
    assert 'A step of bas has 8 images, one of cam 16.' in study.all_notes()
    # one of them could not be measured
    study = make_study(tmp_path / 'x', costs=dict(cam=(CAM, CAM)))
    assert as_table(study)['bas (1 of 2 seeds)']['step / cam'] == '–'


def test_no_seed_in_common(tmp_path):
    boxes = dict(cam=[[R, W], None], bas=[None, [R, R]])
    study = make_study(tmp_path, boxes=boxes)
    assert as_table(study)['bas (1 of 2 seeds)']['less cam'] == ''
    assert 'less' not in json.dumps(write_table(study, tmp_path).splitlines()[3])


def test_what_is_said_below(tmp_path):
    study = make_study(tmp_path, notes=['bas, seed 1 failed: x'])
    notes = study.all_notes()
    assert notes[0].startswith('Threshold: auto for all methods, one number a run')
    assert notes[1:] == ['bas, seed 1 failed: x']
    study = make_study(tmp_path / 'y', info=dict(threshold='auto'))
    assert as_table(study)['cam']['threshold'] == 'auto'
    assert [x for x in study.all_notes() if 'not calibrated' in x] == [
        f'{name} was not calibrated (seed {seeds}): its maps were cut at the auto of '
        'each map by itself.'
        for name, seeds in (('cam', '0, 1'), ('bas', '0'))
    ]
    for threshold in (0.2, 'config'):
        text = study._replace(threshold=threshold).all_notes()
        assert text == [describe_threshold(threshold)]
    assert describe_threshold('config') == "Threshold: each config's own."


def test_files(tmp_path):
    costs = dict(cam=(CAM, CAM), bas=(BAS, CAM))
    study = make_study(tmp_path, costs=costs, command='bas-mm compare-methods x')
    (tmp_path / 'bas-seed0' / 'summary.json').write_text('{"train": {"seed": 0}}')
    text = write_table(study, tmp_path / 'out')
    written = (tmp_path / 'out' / 'table.md').read_text()
    notes = [f'- {note}' for note in study.all_notes()]
    assert written == '\n'.join(
        [text, '', *notes, '', '`bas-mm compare-methods x`', '']
    )
    with open(tmp_path / 'out' / 'table.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [(r['run'], r['seed']) for r in rows] == [
        ('cam', '0'), ('cam', '1'), ('bas', '0')]  # fmt: skip
    assert [float(r['wsol/gt_known']) for r in rows] == [50, 25, 100]
    found = json.loads((tmp_path / 'out' / 'table.json').read_text())
    assert found['threshold'] == 'auto' and found['against'] == ['cam']
    cam, bas = found['methods']
    assert cam['mean']['wsol/gt_known'] == 37.5 and cam['seeds'] == [0, 1]
    assert cam['std']['wsol/gt_known'] == pytest.approx(25 / 2**0.5)
    assert cam['less'] == {} and bas['less']['cam']['wsol/gt_known'][0] == 50
    assert bas['cost']['step_ms'] == 150 and bas['cost']['memory'] is None
    assert bas['cost_beside']['memory'] == 800
    assert bas['runs'][0]['wsol/gt_known'] == 100
    assert bas['thresholds'] == [0.25]
    assert bas['summaries'] == {'0': {'train': {'seed': 0}}, '1': {}}
    assert found['baselines']['centered box']['wsol/gt_known_iou30'] == 100
    assert cv2.imread(str(tmp_path / 'out' / 'plot.png')).std() > 5


def test_words():
    assert spread([{'a': 1.0}], 'a') == '1.0' and spread([{'a': 1.0}], 'b') == '–'
    assert spread([{'wsol/peak_t': 80.0}] * 2, 'wsol/peak_t') == '80 ± 0.0'
    assert mean_threshold([0.2, 'auto']) == '0.2, auto'
    assert ratio(None, 2.0) == ratio(2.0, None) == '–'
