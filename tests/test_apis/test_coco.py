"""COCO json and the writing of files."""

import errno
import json
from unittest import mock

import numpy as np
import pytest

from bas_mm.apis import CocoFile, encode_rle
from bas_mm.utils.files import write_atomic


def decode(rle):
    """By the definition: runs down the columns, background first."""
    height, width = rle['size']
    pixels, value = [], 0
    for count in rle['counts']:
        pixels += [value] * count
        value = 1 - value
    return np.array(pixels, bool).reshape(width, height).T


@pytest.mark.parametrize('shape', [(1, 1), (1, 9), (7, 1), (13, 8)])
def test_masks_come_back(shape):
    rng = np.random.default_rng(0)
    for mask in (rng.random(shape) > 0.5, np.zeros(shape, bool), np.ones(shape, bool)):
        rle = encode_rle(mask)
        assert (decode(rle) == mask).all() and rle['size'] == list(shape)
        assert sum(rle['counts']) == mask.size
        assert all(count > 0 for count in rle['counts'][1:])
        try:
            from pycocotools import mask as coco_mask
        except ImportError:
            continue
        packed = coco_mask.frPyObjects(json.loads(json.dumps(rle)), *shape)
        assert (coco_mask.decode(packed) == mask).all()


def test_file(tmp_path):
    coco = CocoFile(tmp_path / 'new' / 'a.json', ['x', 'y'], dict(k=1))
    mask = np.zeros((20, 30), bool)
    mask[4:8, 2:12] = True
    coco.add('p.jpg', (20, 30), [(1, 0.5, np.float32([2, 4, 12, 8]))], [mask])
    coco.add('q.jpg', (10, 10), [], extra='e')
    coco.finish([('bad.jpg', 'r')])
    data = json.loads((tmp_path / 'new' / 'a.json').read_text())
    assert data['info'] == dict(k=1, skipped=[dict(file_name='bad.jpg', reason='r')])
    assert data['images'] == [
        dict(id=1, file_name='p.jpg', width=30, height=20),
        dict(id=2, file_name='q.jpg', width=10, height=10, extra='e'),
    ]
    assert data['categories'] == [dict(id=1, name='x'), dict(id=2, name='y')]
    (annotation,) = data['annotations']
    assert (decode(annotation.pop('segmentation')) == mask).all()
    assert annotation == dict(
        id=1,
        image_id=1,
        category_id=2,
        bbox=[2, 4, 10, 4],
        area=40,
        iscrowd=0,
        score=0.5,
    )


def test_writes_as_it_goes(tmp_path):
    coco = CocoFile(tmp_path / 'a.json', ['x'], {}, interval=0)
    coco.add('p.jpg', (2, 2), [])
    assert len(json.loads((tmp_path / 'a.json').read_text())['images']) == 1


def test_a_full_disk_keeps_the_older_file(tmp_path):
    path = tmp_path / 'a.json'
    write_atomic(path, b'old')

    class Full:
        def __init__(self, real):
            self.real = real

        def __enter__(self):
            return self

        def __exit__(self, *args):
            self.real.close()

        def write(self, content):
            self.real.write(content[:1])
            raise OSError(errno.ENOSPC, 'No space left on device')

    real_open = open
    with mock.patch('builtins.open', lambda *args, **kw: Full(real_open(*args, **kw))):
        with pytest.raises(
            OSError, match='3 bytes: the disk is full.*a.json'
        ) as caught:
            write_atomic(path, b'new')
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == b'old'
    assert [p.name for p in tmp_path.iterdir()] == ['a.json']
    write_atomic(path, b'new')
    assert path.read_bytes() == b'new'


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError, match='Cannot write 1 bytes'):
        write_atomic(tmp_path / 'file' / 'a.json', b'x')
