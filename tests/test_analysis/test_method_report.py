"""The report of methods side by side."""

import cv2
import numpy as np

from bas_mm.analysis.method_report import build_report
from bas_mm.analysis.method_table import write_table
from tests.helpers.methods import BAS, CAM, as_table, make_study
from tests.helpers.report import Reader


def test_report(tmp_path):
    costs = dict(cam=(CAM, CAM), bas=(BAS, CAM))
    study = make_study(tmp_path, ('cam', 'bas'), costs, notes=['bas, seed 1 failed: x'])
    sheet = np.zeros((40, 90, 3), np.uint8)
    sheet[:, 60:] = (250, 0, 0)  # RGB
    html, markdown = build_report(study, sheet).write(tmp_path / 'report.html')
    page = Reader(html.read_text())
    assert 'Methods: cam, bas' in page.words
    row = as_table(study)['bas (1 of 2 seeds)']
    for text in (row['GT-known Loc'], row['threshold'], row['step / cam']):
        assert text in page.words
    for text in study.all_notes():
        assert text in page.words
    # the headings, in order
    names = ['Table', 'Budgets', 'Differences to cam', 'Differences to bas', 'Cost']
    places = [page.words.index(f' {name} ') for name in names]
    assert places == sorted(places)
    assert 'from 50 resamples of the images' in page.words
    assert '150 100 – 8 cpu' in page.words  # of BAS: step, that of CAM, memory, batch
    # everything is in the page, and beside the markdown
    assert all(source.startswith('data:image/') for source in page.sources)
    drawn = cv2.imread(str(tmp_path / 'report_files' / 'methods.jpg'))
    assert drawn.shape == sheet.shape
    assert abs(drawn[20, 80].astype(int) - (0, 0, 250)).max() < 20  # BGR
    assert '![Images spread evenly over the test set]' in markdown.read_text()


def test_report_of_little(tmp_path):
    """One method, no costs, no sheet, no intervals."""
    study = make_study(tmp_path, boxes=dict(cam=[[[2, 2, 12, 12]] * 2]))
    study.results.bootstrap = 0
    page = Reader(build_report(study, None).html())
    for absent in ('Cost', 'Differences to', 'The same images', 'resamples'):
        assert absent not in page.words
    assert 'no PxAP' in page.words  # the dumps have no masks


def test_markdown_is_the_same_table(tmp_path):
    study = make_study(tmp_path)
    text = write_table(study, tmp_path)
    report = build_report(study, None).markdown('files')
    cells = [cell.strip() for cell in text.splitlines()[3].strip('|').split('|')]
    row = next(x for x in report.splitlines() if x.startswith('| bas (1 of'))
    assert [cell.strip() for cell in row.strip('|').split('|')] == cells
