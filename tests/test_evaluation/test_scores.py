import json

import numpy as np
import pytest

from bas_mm.evaluation import ScoreFile
from bas_mm.evaluation.scores import ImageTable, image_parts


def write(path, text):
    path.write_text(text)
    return path


def test_found_however_the_path_is_written():
    table = ImageTable('table')
    table.add('images/a/1.jpg', 'a1')
    table.add('images/b/1.jpg', 'b1')
    table.add('2', 'two')
    assert table['/data/images/a/1.jpg'] == table['a/1.jpg'] == 'a1'
    assert table['b/1'] == 'b1'
    assert table['C:\\images\\b\\1.png'] == 'b1'
    assert table['c/2.JPEG'] == 'two'
    assert len(table) == 3 and table.get('9.jpg', 0) == 0
    with pytest.raises(KeyError, match="table: 2 entries for the image '1.jpg"):
        table['1.jpg']
    for other in ('3.jpg', 'c/1.jpg', 'other/a/1.jpg'):
        with pytest.raises(KeyError, match='table: no entries'):
            table[other]
    table.add('1', 'short')
    assert table['c/1.jpg'] == 'short' and table['/data/images/a/1.jpg'] == 'a1'


def test_an_entry_is_of_one_image():
    table = ImageTable('maps')
    table.add('1.jpg', 'one')
    assert table['a/1.jpg'] == table['data/a/1.jpg'] == table.get('1.png') == 'one'
    with pytest.raises(KeyError, match="entry '1' fits two images, 'a/1' and 'b/1'"):
        table['b/1.jpg']
    with pytest.raises(KeyError, match='that each has its own'):
        table.get('b/1.jpg', 0)


def test_the_same_path_comes_first():
    table = ImageTable('table')
    table.add('1.jpg', 'flat')
    table.add('a/1.jpg', 'in a folder')
    assert table['1.tif'] == 'flat' and table['a/1.webp'] == 'in a folder'
    table.add('1.jpg', 'again')
    with pytest.raises(KeyError, match='2 entries'):
        table['1.jpg']


def test_dots_in_names_are_no_extension():
    table = ImageTable('table')
    table.add('001.Bird/a.b', 1)
    assert table['001.Bird/a.b.jpg'] == 1
    with pytest.raises(KeyError):
        table['001.Bird/a.jpg']


@pytest.mark.parametrize(
    'name, parts',
    [
        ('a.jpg', ('a',)),
        ('x/a.JPEG.npy', ('x', 'a')),
        ('x/a.npy', ('x', 'a')),
        ('x\\a.b.png', ('x', 'a.b')),
        ('a.b', ('a.b',)),
    ],
)
def test_image_parts(name, parts):
    assert image_parts(name) == parts


def test_best_classes(tmp_path):
    scores = np.linspace(0, 1, 9)
    np.savez(tmp_path / 's.npz', **{'a/1.jpg': scores})
    assert ScoreFile(tmp_path / 's.npz')['x/a/1.jpg'].tolist() == [8, 7, 6, 5, 4]
    path = write(tmp_path / 's.csv', '\ufeff1.jpg,0.5,nan,0.7\n\n')  # as Excel writes
    assert ScoreFile(path)['1.jpg'].tolist() == [2, 0]


@pytest.mark.parametrize(
    'name, text, match',
    [
        ('s.json', '{}', 'holds no scores'),
        ('s.json', json.dumps({'1.jpg': [[1, 2]]}), r"'1.jpg' has scores of the "),
        ('s.csv', '1.jpg,1,2\n2.jpg,1,x\n', 'line 2'),
        ('s.txt', '', "one of .*'.npz'"),
    ],
)
def test_wrong_files(tmp_path, name, text, match):
    with pytest.raises(ValueError, match=match):
        ScoreFile(write(tmp_path / name, text))


def test_no_file_and_no_code(tmp_path):
    with pytest.raises(FileNotFoundError, match='scores=.*no such file'):
        ScoreFile(tmp_path / 'none.npz')
    np.savez(tmp_path / 'o.npz', a=np.array([{}], object))
    with pytest.raises(ValueError, match='allow_pickle'):
        ScoreFile(tmp_path / 'o.npz')
