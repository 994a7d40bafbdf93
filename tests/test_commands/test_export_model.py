"""``bas-mm export-model``."""

import json
import subprocess
import sys

import pytest

from tests.helpers.commands import call
from tests.helpers.inference import make_folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(make_folder(tmp_path))
    return tmp_path


def test_a_checkpoint_becomes_a_file(folder, capsys):
    """Which localizes as the checkpoint does."""
    call('export-model', 'tiny.pth', '--topk', 1, '--threshold', 0.3)
    out = capsys.readouterr().out
    assert 'tiny.onnx (' in out and 'its boxes: tiny_recipe.py' in out
    assert 'Largest differences to the model itself: scores ' in out
    found = []
    for words in (
        ['--model', 'tiny.onnx'],
        ['--model', 'tiny.pth', '--topk', 1, '--threshold', 0.3],
    ):
        call('localize', 'data', *words, '--no-pictures', '--out-dir', words[1][5:])
        text = (folder / words[1][5:] / 'results.json').read_text()
        found.append([one['bbox'] for one in json.loads(text)['annotations']])
    assert len(found[0]) == 6 and found[0] == found[1]


def test_other_formats_are_not_taken_for_damaged_checkpoints(folder):
    call('export-model', 'tiny.pth', '--format', 'pt2')
    for words in (
        ['localize', 'data', '--model', 'tiny.pt2'],
        ['localize', 'data', '--model', 'tiny.pth', '--weights', 'x.torchscript'],
        ['export-model', 'x.onnx'],
    ):
        message = 'is an exported model: .* open ONNX files; here the checkpoint'
        with pytest.raises(SystemExit, match=message):
            call(*words)
    script = [sys.executable, 'tiny_recipe.py', 'tiny.pt2', 'data/a/0.png']
    said = subprocess.run(script, capture_output=True, text=True)
    assert said.returncode == 1
    assert said.stderr.startswith('tiny.pt2 is no ONNX file, which is what this')


def test_wrong_options(folder):
    with pytest.raises(SystemExit, match=r'--format pt2 needs an --out .* in \.pt2'):
        call('export-model', 'tiny.pth', '--format', 'pt2', '--out', 'a.onnx')
    with pytest.raises(SystemExit, match='--topk. is 4, but the model has 3 classes'):
        call('export-model', 'tiny.pth', '--topk', 4)
    with pytest.raises(SystemExit, match='none.pth'):
        call('export-model', 'none.pth')
