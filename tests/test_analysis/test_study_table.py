"""Table and plot of a study."""

import csv

import cv2
import pytest

from bas_mm.analysis.jobs import Run
from bas_mm.analysis.study_table import COLUMNS, plot, write_study

TABLE = [
    (
        Run('a', {}, 0),
        [
            {'wsol/gt_known': 50.0, 'wsol/top1_loc': 40.0},
            {'wsol/gt_known': 60.0, 'wsol/top1_loc': 40.0},
        ],
    ),
    (Run('b', {}, 1), [{'wsol/gt_known': 30.0, 'wsol/top1_loc': 10.0}]),
]


def cells(line):
    return [cell.strip() for cell in line.strip('|').split('|')]


def test_table(tmp_path):
    text = write_study(TABLE, tmp_path / 'new', 'title', 'bas-mm ablate x')
    lines = text.splitlines()
    assert set(lines.pop(1)) == {'|', '-'}
    assert list(map(cells, lines)) == [
        ['run', 'gt_known', 'top1_loc'],
        ['a', '55.00 ± 7.07', '40.00 ± 0.00'],
        ['b (1 of 2 seeds)', '30.00', '10.00'],
    ]
    written = (tmp_path / 'new' / 'table.md').read_text()
    assert written == f'{text}\n\n`bas-mm ablate x`\n'
    with open(tmp_path / 'new' / 'table.csv', newline='') as file:
        rows = list(csv.reader(file))
    assert rows == [
        ['run', 'row', 'wsol/gt_known', 'wsol/top1_loc'],
        ['a', '0', '50.0', '40.0'],
        ['a', '1', '60.0', '40.0'],
        ['b', '0', '30.0', '10.0'],
    ]
    assert cv2.imread(str(tmp_path / 'new' / 'plot.png')).std() > 5


def test_other_metrics_than_ours(tmp_path):
    other = write_study(
        [(Run('a', {}), [{'accuracy/top1': 1.0, 'curve': [1, 2]}])], tmp_path, 'title'
    )
    assert cells(other.splitlines()[-1]) == ['a', '1.00']
    assert 'curve' not in (tmp_path / 'table.csv').read_text()


def test_missing_metric(tmp_path):
    rows = [(Run('a', {}), [{'x': 1.0}]), (Run('b', {}), [{'y': 2.0}])]
    text = write_study(rows, tmp_path, 'title').splitlines()
    assert cells(text[2]) == ['a', '1.00', 'nan']


@pytest.mark.parametrize('numeric', [True, False])
def test_plot(numeric):
    table = [
        (
            Run(f'K={k}', {}, k if numeric else None),
            [{COLUMNS[0]: k + 1.0, 'wsol/gt_known_whole': 20.0}],
        )
        for k in (1, 80)
    ]
    figure = plot(table, COLUMNS[:1], 'a title')
    axis = figure.axes[0]
    assert axis.get_title() == 'a title'
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert 'gt_known of the whole view' in labels and 'gt_known' in labels
    names = [text.get_text() for text in axis.get_xticklabels()]
    if numeric:
        assert axis.get_xlabel() == 'K' and axis.get_xscale() == 'log'
        assert names == ['1', '80']
        line = next(one for one in axis.lines if len(one.get_xdata()) == 2)
        assert list(line.get_ydata()) in ([2, 81], [20, 20])
    else:
        assert names == ['K=1', 'K=80']
        assert [patch.get_height() for patch in axis.patches] == [2, 81]
