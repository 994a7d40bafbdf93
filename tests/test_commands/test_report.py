"""From a checkpoint to a report: test --dump, eval-maps, report."""

import base64
import json
import math
import re

import cv2
import numpy as np
import pytest

from bas_mm.evaluation import MapDump
from tests.helpers.report import (
    RIGHT,
    WRONG,
    Reader,
    call,
    make_data,
    make_dump,
    make_network,
)


@pytest.fixture(scope='module')
def dumped(tmp_path_factory):
    """Two networks tested, one dump of either form."""
    folder = tmp_path_factory.mktemp('report')
    make_data(folder)
    for seed, name in enumerate(('first', 'second')):
        make_network(folder, name, seed=seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, *options in (
            ('first', '--dump', 'first.npz', '--bootstrap', 50),
            ('second', '--dump', 'second'),
        ):
            words = (f'{name}.py', f'{name}.pth', '--data-root', 'data')
            call('test', *words, '--out', f'{name}.json', *options)
    return folder


def report(folder, *argv):
    call('report', *argv, '--out', folder / 'r' / 'x.html')
    page = Reader((folder / 'r' / 'x.html').read_text(encoding='utf-8'))
    return page, (folder / 'r' / 'x.md').read_text(encoding='utf-8')


@pytest.mark.parametrize('maps, rest', [('first.npz', 'first'), ('second', 'second')])
def test_saved_maps_give_the_printed_figures(dumped, monkeypatch, maps, rest):
    monkeypatch.chdir(dumped)
    files = [maps, f'{rest}/samples.json', '--scores', f'{rest}/scores.npz']
    files += ['--masks', f'{rest}/masks', '--json', 'again.json']
    call('eval-maps', *files, '--threshold', 0.3)
    again = json.loads((dumped / 'again.json').read_text())
    printed = {
        k: None if isinstance(v, float) and math.isnan(v) else v
        for k, v in json.loads((dumped / f'{rest}.json').read_text()).items()
        if not k.endswith('_ci95')
    }
    assert again == printed
    assert {
        'wsol/peak_iou',
        'wsol/pxap',
        'wsol_best/threshold',
        'wsol/max_box_acc_v2',
        'wsol/err_part',
        'wsol/iou_median',
        'wsol/top1_loc',
    } <= set(printed)


def test_a_dump_says_what_it_is_of(dumped):
    dump = MapDump(dumped / 'first.npz')
    assert dump.info == dict(
        num_classes=3,
        topk=2,
        map_label='gt',
        force_label=False,
        threshold=0.3,
        model='CAMClassifier',
        config='first.py',
        checkpoint='first.pth',
        classes=['class0', 'class1', 'class2'],
    )
    assert list(dump.entries) == [f'test/class{i // 3}/{i % 3}' for i in range(9)]
    assert dump.view('test/class1/0').shape == (28, 32, 3)


def test_intervals_are_printed_and_written(dumped, monkeypatch, capsys):
    metrics = json.loads((dumped / 'first.json').read_text())
    low, high = metrics['wsol/gt_known_ci95']
    assert low <= metrics['wsol/gt_known'] <= high and low < high
    assert 'wsol/num_images_ci95' not in metrics
    monkeypatch.chdir(dumped)
    words = ('first.py', 'first.pth', '--data-root', 'data')
    call('test', *words, '--bootstrap', 50, '--all')
    (row,) = [
        x.split(maxsplit=1)
        for x in capsys.readouterr().out.splitlines()
        if x.split()[:1] == ['wsol/gt_known']
    ]
    assert row[1] == f'{metrics["wsol/gt_known"]:.4f} [{low:.2f}, {high:.2f}]'


@pytest.mark.parametrize('option', ['--bootstrap', '--dump-views'])
def test_numbers_below_zero(option, capsys):
    with pytest.raises(SystemExit):
        call('test', 'tiny.py', '0.pth', f'{option}=-1')
    assert f'{option} must be at least 0' in capsys.readouterr().err


def test_report_of_two_runs(dumped, monkeypatch, capsys):
    monkeypatch.chdir(dumped)
    page, markdown = report(
        dumped, 'first.npz', 'second', '--bootstrap', 20, '--pictures', 2
    )
    written = dumped / 'r' / 'x.html'
    assert f'{written} and {written.with_suffix(".md")}' in capsys.readouterr().out
    for name in ('first', 'second'):
        metrics = json.loads((dumped / f'{name}.json').read_text())
        for key in (
            'wsol/gt_known',
            'wsol/peak_iou',
            'wsol/err_part',
            'wsol/max_box_acc_v2',
            'wsol_best/top1_loc',
        ):
            assert f'{metrics[key]:.2f}' in page.words, key
    assert 'mean of the 2 best classes' in page.words
    assert 'second − first' in page.words and 'centered box' in page.words
    assert '9 images, 9 with ground-truth boxes, 9 with masks' in page.words

    # five plots; two cards for each of best, worst and different, two runs
    drawings = [
        cv2.imdecode(
            np.frombuffer(base64.b64decode(source.split('base64,')[1]), np.uint8), 1
        )
        for source in page.sources
    ]
    assert all(x.startswith('data:image/') for x in page.sources)
    assert len(drawings) == 5 + 3 * 2 * 2
    assert all(drawing.std() > 5 for drawing in drawings)
    linked = re.findall(r'!\[[^]]*\]\(x_files/([^)]*)\)', markdown)
    files = {path.name: path for path in (dumped / 'r' / 'x_files').iterdir()}
    assert sorted(linked) == sorted(files) and len(linked) == 17
    for name, drawing in zip(linked, drawings):  # in the same order
        np.testing.assert_array_equal(cv2.imread(str(files[name])), drawing)


def test_markup_in_names_is_text(dumped, monkeypatch):
    names = ['<b>x</b>', '[a](http://x) & $\\oops$']
    monkeypatch.chdir(dumped)
    words = ('first.npz', 'second', '--bootstrap', 0, '--pictures', 1)
    page, markdown = report(dumped, *words, '--names', *names)
    assert 'b' not in page.tags and 'a' not in page.tags
    assert all(f'{name}: GT-known Loc' in page.words for name in names)
    assert '<b>' not in markdown and '](http' not in markdown
    assert '\\<b\\>x\\</b\\>: GT-known Loc' in markdown
    assert '[a]\\(http://x) & $\\\\oops$: GT-known Loc' in markdown


def test_names_are_those_of_the_files(tmp_path):
    for folder in ('a', 'b'):
        make_dump(tmp_path / folder / 'run', ['i0', 'i1'], [RIGHT, WRONG])
    one = make_dump(tmp_path / '<one> & only.npz', ['i0', 'i1'], [RIGHT, WRONG])
    page, markdown = report(tmp_path, one, '--bootstrap', 5)
    assert '<one> & only: GT-known Loc 50.0' in page.words
    assert '\\<one\\> & only' in markdown
    page, _ = report(tmp_path, *tmp_path.glob('*/run'), '--bootstrap', 0)
    assert f'Localization: {tmp_path}' in page.words


def test_runs_of_other_images(tmp_path, capsys):
    one = make_dump(tmp_path / 'one', ['i0', 'i1'], [RIGHT, RIGHT])
    two = make_dump(tmp_path / 'two', ['i1'], [RIGHT])
    report(tmp_path, one, two, '--bootstrap', 0)
    assert 'Warning: Not the same images: the runs hold 2 (one), 1 (two)' in (
        capsys.readouterr().out
    )
    other = make_dump(tmp_path / 'three', ['k4'], [RIGHT])
    with pytest.raises(SystemExit, match='ValueError: The runs share no image'):
        report(tmp_path, one, other)


@pytest.mark.parametrize(
    'words, message',
    [
        (['--names', 'a', 'b'], '2 names for 1 runs'),
        (['--names', 'whole view'], 'must differ'),
        (['--bootstrap', '-1'], 'at least 0'),
        (['--pictures', '-1'], 'at least 0'),
        (['--out', 'x.pdf'], '--out needs a file that ends in .html, got x.pdf'),
    ],
)
def test_wrong_options(capsys, words, message):
    with pytest.raises(SystemExit):
        call('report', 'one', *words)
    assert message in capsys.readouterr().err


def test_an_output_that_cannot_be_is_told_first(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(SystemExit, match='file is not a folder.*--out'):
        call('report', 'gone', '--out', tmp_path / 'file' / 'x.html')
