"""What the fuzzers found, kept where hypothesis is not installed."""

import zipfile

import pytest
import torch

from bas_mm.datasets.annotations import read_table
from bas_mm.engine.checkpoint import load_from_local
from bas_mm.evaluation.saved_maps import SavedMaps
from bas_mm.evaluation.scores import ImageTable, ScoreFile
from bas_mm.utils.loading import explain_misfit


def test_a_table_that_is_no_text(tmp_path):
    (tmp_path / 'boxes.txt').write_bytes(b'1 2\x80')
    with pytest.raises(ValueError, match='boxes.txt is no text in UTF-8'):
        read_table(str(tmp_path / 'boxes.txt'), (int,), 'id class')


@pytest.mark.parametrize(
    'text, message',
    [
        ('null', 'numbers for each image'),
        ('[1]', 'numbers for each image'),
        ('{"a.jpg": {}}', 'numbers for each image'),
        ('{"a.jpg": "x"}', 'numbers for each image'),
        ('{"a.jpg": [1, null]', 'numbers for each image'),
        ('{"": [1, 2]}', "'' is no name of an image"),
        ('{".": [1, 2]}', "'.' is no name of an image"),
    ],
)
def test_scores_that_are_none(tmp_path, text, message):
    (tmp_path / 's.json').write_text(text)
    with pytest.raises(ValueError, match=f's.json.*{message}'):
        ScoreFile(tmp_path / 's.json')


def test_a_name_that_is_none_finds_nothing():
    with pytest.raises(KeyError, match="no entries for the image '.'"):
        ImageTable('maps')['.']


def test_a_file_in_an_archive_that_is_no_array(tmp_path):
    with zipfile.ZipFile(tmp_path / 'maps.npz', 'w') as file:
        file.writestr('a.npy', b'')
    with pytest.raises(ValueError, match=r"maps.npz.*'a' of 'a.jpg' is no array"):
        SavedMaps(tmp_path / 'maps.npz')['a.jpg']


def test_a_damaged_old_checkpoint(tmp_path):
    path = tmp_path / 'old.pth'
    torch.save(dict(a=1), path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    bare = data[: data.index(b'q\x00') + 2] if b'q\x00' in data else data[:9]
    path.write_bytes(bare + b'.')
    with pytest.raises(ValueError, match=r'old.pth.*cannot be read'):
        load_from_local(path)


def test_weights_that_are_text():
    model = torch.nn.Linear(1, 1)
    text = explain_misfit(model, dict(weight='x', bias=torch.zeros(1)), 'a.pth')
    assert '1 have another shape (weight)' in text
