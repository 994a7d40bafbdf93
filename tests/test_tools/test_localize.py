"""tools/localize.py."""

import errno
import json
from unittest import mock

import cv2
import pytest

import bas_mm
from bas_mm.apis import coco as coco_module
from bas_mm.apis import inferencer as inferencer_module
from bas_mm.utils.files import write_atomic

from .inference import call, make


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(make(tmp_path))
    return tmp_path


def read(path):
    return json.loads(path.read_text())


def test_boxes_and_pictures(folder, capsys):
    call(
        'localize.py',
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


def test_asked_classes_and_all_components(folder):
    call(
        'localize.py',
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
    assert not list((folder / 'out').glob('**/*.jpg'))


def test_bad_pictures(folder):
    (folder / 'data' / 'b' / 'bad.png').write_bytes(b'no picture')
    arguments = (
        'localize.py',
        'data',
        '--model',
        'tiny.pth',
        '--out-dir',
        'out',
        '--batch-size',
        2,
    )
    with pytest.raises(SystemExit, match='^ValueError: .*bad.png'):
        call(*arguments)
    before = read(folder / 'out' / 'results.json')  # nothing is lost
    assert [i['file_name'] for i in before['images']] == [
        'a/0.png',
        'a/1.png',
        'b/2.png',
        'b/3.png',
    ]
    call(*arguments, '--on-error', 'skip')
    data = read(folder / 'out' / 'results.json')
    assert len(data['images']) == 6
    (skipped,) = data['info']['skipped']
    assert skipped['file_name'] == 'b/bad.png'


def test_a_full_disk_keeps_what_was_found(folder):
    """The third picture cannot be written; the json still can."""
    count = []

    def full(path, content):
        count.append(path)
        if len(count) > 2:
            raise OSError(errno.ENOSPC, 'Cannot write: the disk is full', str(path))
        write_atomic(path, content)

    with mock.patch.object(inferencer_module, 'write_atomic', full):
        with pytest.raises(SystemExit, match='the disk is full.*2.jpg'):
            call('localize.py', 'data', '--model', 'tiny.pth', '--out-dir', 'out')
    data = read(folder / 'out' / 'results.json')
    assert len(data['images']) == len(data['annotations']) == 2

    def all_full(path, content):
        raise OSError(errno.ENOSPC, 'Cannot write: the disk is full', str(path))

    with mock.patch.object(coco_module, 'write_atomic', all_full):
        with pytest.raises(SystemExit, match='disk is full.*results.json'):
            call('localize.py', 'data', '--model', 'tiny.pth', '--out-dir', 'out')
    assert read(folder / 'out' / 'results.json') == data


@pytest.mark.parametrize(
    'argv, match',
    [
        (('gone.jpg', '--model', 'tiny.pth'), 'no picture .*gone.jpg'),
        (('data', '--model', 'tiny.py'), 'There are no weights'),
        (('data', '--model', 'tiny.pth', '--classes', 'dog'), "no class 'dog'"),
        (('data', '--model', 'tiny.pth', '--threshold', 7), 'between 0 and 1'),
    ],
)
def test_errors_are_one_line(folder, argv, match):
    with pytest.raises(SystemExit, match=match):
        call('localize.py', *argv, '--out-dir', 'out')
