"""The package bas_mm.analysis.report, on dumps without a model."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure
from mmpretrain.structures import DataSample

from bas_mm.analysis.report import build_report
from bas_mm.analysis.report.document import Card, Document, Drawing
from bas_mm.analysis.report.drawings import choose_images
from bas_mm.analysis.report.plots import draw_thresholds
from bas_mm.analysis.report.runs import load_runs
from bas_mm.analysis.report.tables import describe_map
from bas_mm.visualization import WSOLVisualizer
from tests.helpers.report import RIGHT, WRONG, Reader, make_dump


def build(*paths, names=None, **options):
    """A report, its text, and the note on images that were left out."""
    names = names or [Path(path).name for path in paths]
    document, note = build_report(paths, names, **options)
    return document, Reader(document.html()).words, note


def remove_boxes(dump, indices):
    """Make images ones without ground-truth boxes."""
    file = Path(dump) / 'samples.json'
    entries = json.loads(file.read_text())
    for i in indices:
        del entries[i]['boxes']
    file.write_text(json.dumps(entries))


def test_report_of_what_two_runs_share(tmp_path):
    names = [f'i{i}' for i in range(8)]
    one = make_dump(tmp_path / 'one', names, [RIGHT, WRONG] * 4)
    names = [f'i{i}' for i in (9, 3, 2, 0)]
    two = make_dump(tmp_path / 'two', names, [WRONG, RIGHT, RIGHT, RIGHT])
    document, words, note = build(one, two, names=['A', 'B'], bootstrap=0)
    assert 'the runs hold 8 (A), 4 (B). All figures are on the 3 that they' in note
    assert note in words
    # of i0, i2, i3: A has the first two right, B all
    assert 'A: GT-known Loc 66.7 %' in words
    assert 'B: GT-known Loc 100.0 %' in words
    assert 'B against A: +33.3 points of GT-known Loc.' in words
    assert 'no curve of pixel IoU' in words
    assert 'the dumps keep no views' in words
    assert [x.file for x in document.drawings] == [
        f'{x}.png' for x in ('thresholds', 'iou', 'size', 'errors')
    ]


def test_no_advice_where_the_whole_view_is_the_best_box(tmp_path):
    # the map is a diagonal: no threshold gives the box, nor does the whole view
    dump = make_dump(tmp_path / 'one', ['i0', 'i1'], [WRONG, WRONG])
    _, words, _ = build(dump, bootstrap=0)
    assert 'one has no threshold that makes it better than the whole view.' in words
    assert 'would gain' not in words


@pytest.mark.parametrize('threshold', [0.2, 'otsu'])
def test_the_plot_of_thresholds_shows_the_one_that_was_used(tmp_path, threshold):
    options = dict(options=dict(info=dict(threshold=threshold)))
    make_dump(tmp_path / 'one', ['i0', 'i1'], [RIGHT, WRONG], **options)
    runs, _, _ = load_runs([tmp_path / 'one'], ['one'])
    for run in runs:
        run.evaluate(0, 0)
    axes = Figure().add_subplot()
    draw_thresholds(axes, runs)
    dots = [line for line in axes.lines if line.get_marker() == 'o']
    if threshold == 'otsu':  # no place on the axis, but a level
        assert dots == [] and axes.lines[-1].get_ydata()[0] == 50
    else:
        assert [dot.get_xydata().tolist() for dot in dots] == [[[0.2, 50]]]
    assert [float(tick) for tick in axes.get_xticks()][-1] == 1


def test_paired_interval_of_the_difference(tmp_path):
    """Two runs that differ in every image by the same: no doubt at all."""
    names = [f'i{i}' for i in range(20)]
    one = make_dump(tmp_path / 'one', names, [WRONG] * 20)
    two = make_dump(tmp_path / 'two', names, [RIGHT] * 20)
    _, words, note = build(one, two, bootstrap=30)
    assert note == ''
    assert (
        'two against one: +100.0 [+100.0, +100.0] points of GT-known '
        'Loc, more than chance.' in words
    )
    half = make_dump(tmp_path / 'half', names, [WRONG, RIGHT] * 10)
    _, words, _ = build(half, half, names=['a', 'b'], bootstrap=30)
    assert (
        'b against a: +0.0 [+0.0, +0.0] points of GT-known Loc, not '
        'distinguishable: the interval holds 0' in words
    )


def test_runs_with_boxes_of_other_images(tmp_path):
    one = make_dump(tmp_path / 'one', ['i0', 'i1'], [RIGHT, WRONG])
    two = make_dump(tmp_path / 'two', ['i0', 'i1'], [RIGHT, RIGHT])
    remove_boxes(two, [1])
    _, words, _ = build(one, two, bootstrap=5)
    assert 'their differences carry no interval' in words
    assert 'two against one: +50.0 points of GT-known Loc.' in words
    assert 'No drawings: the runs do not have boxes of the same images.' in words


@pytest.mark.parametrize('bare', [0, 1])
def test_one_of_two_runs_has_no_boxes(tmp_path, bare):
    dumps = [
        make_dump(tmp_path / name, ['i0', 'i1'], [RIGHT, WRONG], pred_score=[1, 0])
        for name in ('one', 'two')
    ]
    remove_boxes(dumps[bare], [0, 1])
    document, words, _ = build(*dumps, bootstrap=5)
    none, some = [('one', 'two'), ('two', 'one')][bare]
    assert f'{none} has no ground-truth boxes: only classification.' in words
    assert f'{some}: GT-known Loc 50.0 [' in words
    assert 'against' not in words.split('Main figures')[0]
    assert 'whole view' in words and len(document.drawings) == 4


def test_without_any_boxes(tmp_path):
    one = make_dump(tmp_path / 'one', ['i0', 'i1'], [RIGHT, WRONG], pred_score=[1, 0])
    remove_boxes(one, [0, 1])
    document, words, _ = build(one, bootstrap=0)
    assert 'There are no ground-truth boxes: only classification.' in words
    assert 'Top-1 classification 50.0' in words  # labels 0 and 1
    assert 'Differences' not in words and document.drawings == []
    assert 'the dumps keep no views' in words


def test_report_without_labels(tmp_path):
    scores = dict(pred_score=[0.1, 0.9])
    one = make_dump(
        tmp_path / 'one', ['i0', 'i1'], [RIGHT, WRONG], labels=False, **scores
    )
    _, words, _ = build(one, bootstrap=5)
    assert 'GT-known Loc 50.0' in words
    assert 'Top-1 Loc – %' in words


def test_figures_that_only_the_second_run_has(tmp_path):
    one = make_dump(tmp_path / 'one', ['i0', 'i1'], [RIGHT, WRONG])
    scores = dict(pred_score=[0.9, 0.1])
    two = make_dump(tmp_path / 'two', ['i0', 'i1'], [RIGHT, WRONG], **scores)
    _, words, _ = build(one, two, bootstrap=0)
    assert 'wsol/top1_cls – 50.00 – –' in words


def test_the_baselines_are_columns(tmp_path):
    """Whole view 0 to 20 and centered box 3 to 17, against RIGHT, 2 to 12."""
    one = make_dump(tmp_path / 'one', ['i0', 'i1'], [WRONG, WRONG])
    _, words, _ = build(one, bootstrap=0)
    assert 'percent one whole view centered box' in words
    assert 'wsol/gt_known_iou30 0.00 0.00 100.00' in words  # 121/441, 100/246
    # both hold most of RIGHT, and more than half of each lies outside
    assert 'wsol/err_more 0.00 100.00 100.00' in words
    assert 'The better of the image-independent baselines has 0.0 %' in words


def test_runs_that_cannot_be_compared(tmp_path):
    one = make_dump(tmp_path / 'one', ['i0', 'i1'], [RIGHT, RIGHT])
    other = make_dump(tmp_path / 'two', ['k4', 'k5'], [RIGHT, RIGHT])
    with pytest.raises(ValueError, match="share no image.*'data/i0', 'data/k4'"):
        build(one, other)
    relabeled = make_dump(tmp_path / 'x' / 'one', ['i0', 'i1'], [RIGHT, RIGHT])
    samples = Path(relabeled) / 'samples.json'
    samples.write_text(samples.read_text().replace('"labels": [1]', '"labels": [2]'))
    with pytest.raises(ValueError, match="disagree about the label of 'data/i1'"):
        build(one, relabeled)
    with pytest.raises(FileNotFoundError, match='no finished dump'):
        build(tmp_path)


def add_view(dump, name, size=20):
    """A view of one gray, another for each image."""
    file = Path(dump) / 'views' / 'data' / f'{name}.jpg'
    file.parent.mkdir(parents=True, exist_ok=True)
    view = np.full((size, size, 3), 40 * int(name[1:]), np.uint8)
    cv2.imwrite(str(file), view)
    return view


def test_drawings_are_of_the_named_images(tmp_path):
    names = ['i0', 'i1', 'i2', 'i3']
    one = make_dump(tmp_path / 'one', names, [RIGHT, WRONG, RIGHT, WRONG])
    views = {name: add_view(one, name) for name in names[1:]}
    remove_boxes(one, [1])
    document, words, _ = build(one, bootstrap=0, drawings=9)
    assert 'among 2 images whose view is in the dumps' in words
    assert 'Most different' not in words
    drawn = {x.file: x for x in document.drawings if x.file.endswith('.jpg')}
    assert {k: x.caption for k, x in drawn.items()} == {
        'best_0_0.jpg': 'one: IoU 1.00',
        'worst_0_0.jpg': 'one: IoU 0.00',
    }
    sample = DataSample(
        pred_map=np.eye(4), pred_bbox=np.array(RIGHT), gt_bboxes=np.array([RIGHT])
    ).set_gt_label(2)
    expected = WSOLVisualizer().draw(views['i2'], sample)
    found = cv2.imdecode(np.frombuffer(drawn['best_0_0.jpg'].data, np.uint8), 1)
    assert found.shape == expected.shape
    assert np.abs(found[..., ::-1].astype(int) - expected).mean() < 6  # JPEG


def test_a_view_of_another_size_serves_no_other_run(tmp_path):
    one = make_dump(tmp_path / 'one', ['i1', 'i2'], [RIGHT, WRONG])
    two = make_dump(tmp_path / 'two', ['i1', 'i2'], [RIGHT, WRONG])
    add_view(one, 'i1')
    document, words, _ = build(one, two, bootstrap=0)
    assert 'among 1 images whose view' in words  # one's view serves both
    file = tmp_path / 'two' / 'samples.json'
    file.write_text(file.read_text().replace('"width": 20', '"width": 24'))
    document, words, _ = build(one, two, bootstrap=0)
    assert 'the dumps keep no views' in words
    assert '20x20 24x20' in words


def test_choose_images():
    iou = np.array([[0.1, 0.9, 0.5, 0.5, 0.2], [0.3, 0.9, 0.5, 0.0, 0.2]])
    chosen = choose_images(iou, 2)
    assert {k: v.tolist() for k, v in chosen.items()} == dict(
        different=[3, 0], best=[1, 2], worst=[4, 0]
    )
    # of few images no more than half, rounded up, of each kind
    assert [len(x) for x in choose_images(iou[:1], 9).values()] == [3, 3]


@pytest.mark.parametrize(
    'info, text',
    [
        ({}, 'not known'),
        (dict(topk=1, map_label='pred'), 'of the predicted class'),
        (dict(topk=9, num_classes=1, map_label='gt'), 'of the ground-truth class'),
        (
            dict(topk=5, num_classes=3, map_label='gt', force_label=True),
            'mean of the 3 best classes, the ground-truth class among them',
        ),
    ],
)
def test_describe_map(info, text):
    assert describe_map(info) == text


def make_document(text):
    drawing = Drawing('a b.png', b'123', text, text)
    document = Document(text)
    document.heading(text)
    document.text(text)
    document.bullets([text, text])
    document.table(['', text], [[text], [text, text]])
    document.plots([drawing])
    document.cards([Card(text, [Drawing('c.jpg', b'45', text)])])
    return document


def test_every_part_is_escaped(tmp_path):
    """However a part is written, its text is shown as it is."""
    text = '<script>"a|b" & `c` *d* _e_ [f](g)'
    document = make_document(text)
    page = Reader(document.html())
    assert not {'script', 'a', 'em'} & page.tags
    # title and h1, heading, text, bullets, table, plot and card
    assert page.words.count(text) == 2 + 1 + 1 + 2 + 4 + 2 + 2
    escaped = r'\<script\>"a\|b" & \`c\` \*d\* \_e\_ [f]\(g)'
    html, markdown = document.write(tmp_path / 'my page.html')
    assert html.read_text() == document.html()
    lines = markdown.read_text().splitlines()
    assert f'- {escaped}' in lines and f'| {escaped} | {escaped} |' in lines
    assert f'| **{escaped}** |  |' in lines and '|---|---|' in lines
    assert f'![{escaped}](my%20page_files/a%20b.png)' in lines
    assert text not in markdown.read_text()
    files = {x.name: x.read_bytes() for x in (tmp_path / 'my page_files').iterdir()}
    assert files == {'a b.png': b'123', 'c.jpg': b'45'}


def test_intervals_stand_below_their_figures():
    document = Document('x')
    document.table(['a', 'b'], [['c', '1.0 [0.5, 1.5]']])
    assert '<td>1.0<small>[0.5, 1.5]</small></td>' in document.html()
    assert '| c | 1.0 [0.5, 1.5] |' in document.markdown('')
