import os
import os.path as osp

import pytest

from bas_mm.datasets.files import ImageIndex, list_files, list_folders, require_folder
from tests.helpers.data import write_text


def test_require_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    write_text(tmp_path, 'data', 'images.txt')
    assert require_folder('~/data') == str(tmp_path / 'data')
    assert require_folder(str(tmp_path / 'data'), 'images.txt') == str(
        tmp_path / 'data'
    )
    with pytest.raises(FileNotFoundError, match=r'`.*none` does not.*--data-root DIR'):
        require_folder(str(tmp_path / 'none'))
    with pytest.raises(
        FileNotFoundError,
        match=r'`a\.txt` is missing in .*hold `images\.txt`, `a\.txt`: .*data_root',
    ):
        require_folder(str(tmp_path / 'data'), 'images.txt', 'a.txt')


def test_list_files(tmp_path):
    for name in ('b.XML', 'a/c.xml', 'a/d.txt', 'a/e/f.g.xml'):
        write_text(tmp_path, name)
    root = str(tmp_path)
    assert list_files(root, '.xml') == {
        'b': osp.join(root, 'b.XML'),
        'a/c': osp.join(root, 'a', 'c.xml'),
        'a/e/f.g': osp.join(root, 'a', 'e', 'f.g.xml'),
    }
    assert list_files(osp.join(root, 'none'), '.xml') == {}


def test_list_folders(tmp_path):
    for name in ('b', 'a', '.cache'):
        os.mkdir(tmp_path / name)
    write_text(tmp_path, 'file')
    assert sorted(list_folders(str(tmp_path))) == ['a', 'b']


def test_image_index():
    index = ImageIndex(
        [('train/', 'cat/a.jpg'), ('train/', 'dog/a.jpg'), ('train/', 'dog/s/b.png')]
    )
    assert index.find('cat/a', 'x') == 'train/cat/a.jpg'
    assert index.find('./cat/a', 'x') == 'train/cat/a.jpg'
    assert index.find('train/dog/a', 'x') == 'train/dog/a.jpg'
    assert index.find('b', 'x') == 'train/dog/s/b.png'
    for stem in ('s/b', 'c', 'cat/a.jpg'):
        assert index.find(stem, 'x') is None
    with pytest.raises(ValueError, match=r"boxes\.json: `a` may mean \['train/cat/a"):
        index.find('a', 'boxes.json')
    index = ImageIndex([('', 'a/x.jpg'), ('', 'a/x.png'), ('', 'b/y.jpg')])
    assert index.find('a/x', 'x', '.jpg') == 'a/x.jpg'
    assert index.find('x', 'x', '.png') == 'a/x.png'
    assert index.find('b/y', 'x', '.xml') == 'b/y.jpg'
    with pytest.raises(ValueError, match='may mean .*with its extension'):
        index.find('a/x', 'x', '.xml')
    assert ImageIndex([]).find('a', 'x') is None
    index = ImageIndex([('', 'a/x.jpg'), ('', 'b/x.jpg')], 'train')
    assert index.find('train/b/x', 'x') == 'b/x.jpg'
