"""From a checkpoint to a report: test.py --dump, eval_maps.py, report.py."""

import base64
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope, init_default_scope
from mmpretrain.registry import MODELS

from bas_mm.evaluation import DumpMaps, MapDump

from .test_train_test import call

CONFIG = """
_base_ = [{base!r}]
pipeline = [
    dict(type='LoadImageFromFile'), dict(type='bas_mm.LoadLocAnnotations'),
    dict(type='Resize', scale=(40, 32)),
    dict(type='CenterCrop', crop_size=(32, 28)),
    dict(type='bas_mm.PackLocInputs')]
test_dataloader = dict(
    batch_size=4, num_workers=0,
    dataset=dict(
        type='bas_mm.CustomLocalization', data_root='nowhere', split='test',
        box_file='boxes.json', mask_dir='masks', pipeline=pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False))
val_evaluator = None
test_cfg = dict()
model = dict(
    type='bas_mm.CAMClassifier',
    backbone=dict(
        type='ResNet', depth=18, base_channels=4, stem_channels=4,
        norm_cfg=dict(type='GN', num_groups=2)),
    neck=dict(type='bas_mm.SplitNeck'),
    head=dict(
        type='bas_mm.CAMHead', num_classes=3, in_channels=32, mid_channels=8,
        topk=2, threshold=0.3, final_relu=False))
"""
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Nine pictures of three classes, and two networks that never trained."""
    folder = tmp_path_factory.mktemp('report')
    base = str(ROOT / 'configs' / '_base_' / 'default_runtime.py')
    (folder / 'tiny.py').write_text(CONFIG.format(base=base))
    rng = np.random.default_rng(0)
    images, boxes = [], []
    for i in range(9):
        name = f'class{i // 3}/{i % 3}.png'
        x, y, w, h = rng.integers((4, 4, 16, 12), (20, 16, 40, 32)).tolist()
        picture = rng.integers(0, 99, (48, 60, 3))
        mask = np.zeros((48, 60), np.uint8)
        mask[y : y + h, x : x + w] = 1
        picture[mask > 0, i // 3] += 150
        for root, pixels in (('data/test', picture), ('data/masks', mask)):
            file = folder / root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(file), pixels.astype(np.uint8))
        images.append(dict(id=i, file_name=name, width=60, height=48))
        boxes.append(dict(id=i, image_id=i, category_id=0, bbox=[x, y, w, h]))
    (folder / 'data' / 'boxes.json').write_text(
        json.dumps(
            dict(images=images, annotations=boxes, categories=[dict(id=0, name='x')])
        )
    )
    cfg = Config.fromfile(folder / 'tiny.py')
    init_default_scope('mmpretrain')
    for seed in range(2):
        torch.manual_seed(seed)
        model = MODELS.build(cfg.model)
        torch.save(dict(state_dict=model.state_dict(), meta={}), folder / f'{seed}.pth')
    DefaultScope._instance_dict.clear()
    return folder


@pytest.fixture(scope='module')
def dumped(folder):
    """Both networks tested, one dump of either form."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        call(
            'test.py',
            'tiny.py',
            '0.pth',
            '--data-root',
            'data',
            '--dump',
            'first.npz',
            '--out',
            'first.json',
            '--bootstrap',
            50,
        )
        call(
            'test.py',
            'tiny.py',
            '1.pth',
            '--data-root',
            'data',
            '--dump',
            'second',
            '--out',
            'second.json',
        )
    return folder


@pytest.mark.parametrize('maps, rest', [('first.npz', 'first'), ('second', 'second')])
def test_saved_maps_give_the_printed_figures(dumped, monkeypatch, capsys, maps, rest):
    monkeypatch.chdir(dumped)
    call(
        'analysis_tools/eval_maps.py',
        maps,
        f'{rest}/samples.json',
        '--threshold',
        0.3,
        '--scores',
        f'{rest}/scores.npz',
        '--masks',
        f'{rest}/masks',
        '--json',
        'again.json',
    )
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


def test_a_dump_tells_what_it_is_of(dumped):
    dump = MapDump(dumped / 'first.npz')
    assert dump.info == dict(
        num_classes=3,
        topk=2,
        map_label='gt',
        force_label=False,
        threshold=0.3,
        model='CAMClassifier',
        config='tiny.py',
        checkpoint='0.pth',
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
    call('test.py', 'tiny.py', '0.pth', '--data-root', 'data', '--bootstrap', 50)
    row = next(
        x
        for x in capsys.readouterr().out.splitlines()
        if x.startswith('wsol/gt_known ')
    )
    assert row.split(maxsplit=1)[1] == (
        f'{metrics["wsol/gt_known"]:.4f} [{low:.2f}, {high:.2f}]'
    )


@pytest.mark.parametrize('option', ['--bootstrap', '--dump-views'])
def test_numbers_below_zero(option, capsys):
    with pytest.raises(SystemExit):
        call('test.py', 'tiny.py', '0.pth', f'{option}=-1')
    assert f'{option} must be at least 0' in capsys.readouterr().err


class Reader(HTMLParser):
    """Collects pictures, links and text; checks that tags are closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.sources, self.text = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.sources += [v for k, v in attrs if k in ('src', 'href')]
        if tag not in ('img', 'meta'):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def report(folder, *argv):
    call('analysis_tools/report.py', *argv, '--out', folder / 'r' / 'x.html')
    page = Reader((folder / 'r' / 'x.html').read_text(encoding='utf-8'))
    return page, (folder / 'r' / 'x.md').read_text(encoding='utf-8')


def test_report_of_two_runs(dumped, monkeypatch, capsys):
    monkeypatch.chdir(dumped)
    page, markdown = report(
        dumped, 'first.npz', 'second', '--bootstrap', 20, '--pictures', 2
    )
    words = ' '.join(' '.join(page.text).split())
    for name in ('first', 'second'):
        metrics = json.loads((dumped / f'{name}.json').read_text())
        for key in (
            'wsol/gt_known',
            'wsol/peak_iou',
            'wsol/err_part',
            'wsol/max_box_acc_v2',
            'wsol_best/top1_loc',
        ):
            assert f'{metrics[key]:.2f}' in words, key
    assert 'mean of the 2 best classes' in words
    assert 'second − first' in words and 'centred box' in words
    assert '9 images, 9 with ground-truth boxes, 9 with masks' in words

    # five plots; two cards for each of best, worst and different, two runs
    pictures = [
        cv2.imdecode(
            np.frombuffer(base64.b64decode(source.split('base64,')[1]), np.uint8), 1
        )
        for source in page.sources
    ]
    assert all(x.startswith('data:image/') for x in page.sources)
    assert len(pictures) == 5 + 3 * 2 * 2
    assert all(picture.std() > 5 for picture in pictures)
    linked = re.findall(r'!\[[^]]*\]\(x_files/([^)]*)\)', markdown)
    written = [path.name for path in (dumped / 'r' / 'x_files').iterdir()]
    assert sorted(linked) == sorted(written) and len(linked) == 17


def make_run(out, names, box, labels=True, **extra):
    """A dump without masks, views or scores."""
    metric = DumpMaps(out)
    for i, name in enumerate(names):
        sample = dict(
            sample_idx=i,
            img_path=f'data/{name}.jpg',
            img_shape=(20, 20),
            pred_map=np.eye(4),
            pred_bbox=np.array(box[i]),
            gt_bboxes=[[2, 2, 12, 12]],
            **(dict(gt_label=[int(name[1:]) % 3]) if labels else {}),
            **extra,
        )
        metric.process({}, [sample])
    metric.evaluate(len(names))
    return str(out)


RIGHT, WRONG = [2, 2, 12, 12], [14, 14, 20, 20]


def test_report_of_what_two_runs_share(tmp_path, capsys):
    one = make_run(tmp_path / 'one', [f'i{i}' for i in range(8)], [RIGHT, WRONG] * 4)
    two = make_run(
        tmp_path / 'two', [f'i{i}' for i in (9, 3, 2, 0)], [WRONG, RIGHT, RIGHT, RIGHT]
    )
    page, _ = report(tmp_path, one, two, '--names', 'A', 'B', '--bootstrap', 0)
    words = ' '.join(' '.join(page.text).split())
    told = 'the runs hold 8 (A), 4 (B). All figures are on the 3 that they'
    assert told in words and told in capsys.readouterr().out
    # of i0, i2, i3: A has the first two right, B all
    assert 'A: GT-known Loc 66.7 %' in words
    assert 'B: GT-known Loc 100.0 %' in words
    assert 'B against A: +33.3 points of GT-known Loc.' in words
    assert 'no curve of pixel IoU' in words
    assert 'the dumps keep no views' in words
    assert len(page.sources) == 4


def test_paired_interval_of_the_difference(tmp_path):
    """Two runs that differ in every image by the same: no doubt at all."""
    names = [f'i{i}' for i in range(20)]
    one = make_run(tmp_path / 'one', names, [WRONG] * 20)
    two = make_run(tmp_path / 'two', names, [RIGHT] * 20)
    page, _ = report(tmp_path, one, two, '--bootstrap', 30)
    words = ' '.join(page.text)
    assert (
        'two against one: +100.0 [+100.0, +100.0] points of GT-known '
        'Loc, more than chance.' in words
    )
    page, _ = report(tmp_path, one, one, '--bootstrap', 30, '--names', 'a', 'b')
    assert (
        'b against a: +0.0 [+0.0, +0.0] points of GT-known Loc, no more '
        'than chance' in ' '.join(page.text)
    )


def test_report_without_labels(tmp_path):
    names = ['i0', 'i1']
    scores = dict(pred_score=[0.1, 0.9])
    one = make_run(tmp_path / 'one', names, [RIGHT, WRONG], labels=False, **scores)
    page, _ = report(tmp_path, one, '--bootstrap', 5)
    assert 'GT-known Loc 50.0' in ' '.join(page.text)
    assert 'Top-1 Loc – %' in ' '.join(page.text)


def test_report_of_one_run(tmp_path):
    one = make_run(tmp_path / '<one> & only', ['i0', 'i1'], [RIGHT, WRONG])
    page, markdown = report(tmp_path, one, '--bootstrap', 5)
    assert '<one> & only' in ' '.join(page.text)
    assert '\\<one\\> & only' in markdown
    assert 'GT-known Loc 50.0' in ' '.join(page.text)


def test_runs_that_cannot_be_compared(tmp_path, capsys):
    one = make_run(tmp_path / 'one', ['i0', 'i1'], [RIGHT, RIGHT])
    other = make_run(tmp_path / 'two', ['k4', 'k5'], [RIGHT, RIGHT])
    with pytest.raises(ValueError, match="share no image.*'data/i0', 'data/k4'"):
        report(tmp_path, one, other)
    relabelled = make_run(tmp_path / 'x' / 'one', ['i0', 'i1'], [RIGHT, RIGHT])
    samples = Path(relabelled) / 'samples.json'
    samples.write_text(samples.read_text().replace('"labels": [1]', '"labels": [2]'))
    with pytest.raises(ValueError, match="disagree about the label of 'data/i1'"):
        report(tmp_path, one, relabelled)
    with pytest.raises(FileNotFoundError, match='no finished dump'):
        report(tmp_path, tmp_path)
    for argv, message in (
        ([one, '--names', 'a', 'b'], '2 names for 1 runs'),
        ([one, '--names', 'whole view'], 'must differ'),
        ([one, '--bootstrap', '-1'], 'at least 0'),
    ):
        with pytest.raises(SystemExit):
            report(tmp_path, *argv)
        assert message in capsys.readouterr().err
