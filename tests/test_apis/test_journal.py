"""Exports that are killed go on."""

import json
import os

import numpy as np
import pytest

from bas_mm.apis import FORMATS
from bas_mm.apis.inferencer import WSOLInferencer
from bas_mm.apis.journal import Journal, decode_rle
from tests.helpers.commands import call
from tests.helpers.inference import make_folder

COMMANDS = {
    'export': (
        'export tiny.py tiny.pth --data-root data --out {}/boxes.json --batch-size 1'
    ),
    'localize': 'localize data --model tiny.pth --out-dir {} --batch-size 1',
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(make_folder(tmp_path))
    return tmp_path


def read(out):
    (path,) = [p for p in out.glob('*.json')]
    return json.loads(path.read_text())


@pytest.fixture
def seen(monkeypatch):
    """Names of the images that pass the model; the run dies after four."""
    names, run = [], WSOLInferencer._run

    def dying(self, batch, request):
        if len(names) == 4:
            raise RuntimeError('killed')
        names.extend(item.name for item in batch)
        return run(self, batch, request)

    monkeypatch.setattr(WSOLInferencer, '_run', dying)
    return names


@pytest.mark.parametrize('command', COMMANDS)
def test_the_same_command_goes_on(folder, seen, monkeypatch, capsys, command):
    words = COMMANDS[command]
    with pytest.raises(SystemExit, match='killed'):
        call(*words.format('parts').split())
    (journal,) = (folder / 'parts').glob('*.partial.jsonl')
    text = journal.read_text()
    assert text.count('\n') == 1 + 4
    journal.write_text(text[:-9])  # the kill came in the fourth line
    first, seen[:] = seen[:], ['gone on']
    call(*words.format('parts').split())
    assert seen[1:] == [first[3], *sorted(set(seen[1:]) - {first[3]})]
    assert len(seen[1:]) == 3 and 'Going on after 3 images' in capsys.readouterr().out
    assert not journal.exists()
    seen[:] = [''] * 9  # never four
    call(*words.format('whole').split())
    assert len(seen) == 9 + 6
    assert read(folder / 'parts') == read(folder / 'whole')
    assert read(folder / 'parts')['info']['complete'] is True


def test_another_command_begins_anew(folder, seen):
    words = COMMANDS['localize'].format('parts').split()
    with pytest.raises(SystemExit, match='killed'):
        call(*words)
    seen[:] = [''] * 9
    call(*words, '--threshold', 0.9)
    assert len(seen) == 9 + 6


def test_images_that_changed_or_are_not_asked_for(tmp_path):
    paths = [tmp_path / f'{i}.png' for i in range(3)]
    images = [(path.name, str(path)) for path in paths]
    for path in paths:
        path.write_text('x')
    mask = np.eye(4, dtype=bool)

    def start(asked):
        export = FORMATS['coco'](tmp_path / 'a.json', ['x'])
        return Journal(export, asked, images)

    journal = start(dict(a=1))
    for name, source in images:
        journal.add(name, (4, 4), [(0, 0.5, mask[0])], [mask], source)
    journal.close()
    os.utime(paths[0], (1, 1))
    images.pop(1)
    journal = start(dict(a=1))
    assert journal.done == {images[1]}
    assert journal.export.num_images == journal.export.num_objects == 1
    rle = journal.export.annotations[0]['segmentation']
    assert (decode_rle(rle) == mask).all()
    journal.export.finish()
    journal.close()
    assert not journal.path.exists()


def test_nothing_is_left_where_nothing_was_found(tmp_path):
    journal = Journal(FORMATS['csv'](tmp_path / 'a.csv', ['x']), {}, [])
    journal.close()
    assert not list(tmp_path.iterdir())
