"""A folder with ``test/`` alone, and a config that counts classes in the data."""

import csv
import json

import cv2
import numpy as np
import pytest

from tests.helpers.commands import call
from tests.helpers.tiny import build, save, write_config

DATASET = """dataset = dict(
    type='bas_mm.CustomLocalization', data_root='custom', box_file='test/boxes.json',
    pipeline=pipeline)
num_classes_from_data = True
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Three classes of two images; the config says two classes."""
    folder = tmp_path_factory.mktemp('alone')
    text = write_config(folder).read_text()
    start, end = text.index('dataset = dict('), text.index('train_dataloader')
    text = text[:start] + DATASET + text[end:]
    path = folder / 'tiny.py'
    path.write_text(text.replace("'custom'", repr(str(folder / 'custom'))))
    checkpoint = save(path, folder / 'tiny.pth')
    assert build(path)[1].num_classes == 3
    path.write_text(path.read_text().replace('num_classes=3', 'num_classes=2'))
    assert build(path)[1].num_classes == 2
    rng = np.random.default_rng(0)
    images, boxes = [], []
    for i in range(6):
        name = f'{"abc"[i // 2]}/{i}.png'
        image = folder / 'custom' / 'test' / name
        image.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(image), rng.integers(0, 255, (72, 72, 3)).astype(np.uint8))
        images.append(dict(id=i, file_name=name))
        boxes.append(dict(image_id=i, bbox=[20, 24, 30, 20]))
    content = dict(images=images, annotations=boxes)
    (folder / 'custom' / 'test' / 'boxes.json').write_text(json.dumps(content))
    return path, checkpoint


def test_browse(folder, tmp_path, capsys):
    call('browse', folder[0], '--split', 'test', '--out-dir', tmp_path)
    assert '6 images in test, 3 classes; 6 drawn' in capsys.readouterr().out
    with pytest.raises(SystemExit, match='no folder `train`'):
        call('browse', folder[0], '--out-dir', tmp_path)


def test_activation_study(folder, tmp_path, capsys):
    call('activation-study', *folder, '--steps', 2, '--out-dir', tmp_path)
    assert '6 images, 0 left out' in capsys.readouterr().out
    with open(tmp_path / 'curves.csv', newline='') as file:
        assert {row['label'] for row in csv.DictReader(file)} == {'0', '1', '2'}


def test_topk_of_a_checkpoint(folder, tmp_path):
    call(
        'ablate',
        folder[0],
        '--study',
        'topk',
        '--checkpoint',
        folder[1],
        '--work-dir',
        tmp_path,
    )
    with open(tmp_path / 'table.csv', newline='') as file:
        assert [row['run'] for row in csv.DictReader(file)] == ['K=1', 'K=2', 'K=3']


def test_export(folder, tmp_path):
    words = ('export', *folder, '--out', tmp_path / 'boxes.json')
    call(*words, '--split', 'test')
    data = json.loads((tmp_path / 'boxes.json').read_text())
    assert len(data['images']) == 6 and len(data['categories']) == 3
    assert data['images'][0]['file_name'] == 'test/a/0.png'
    with pytest.raises(SystemExit, match='no folder `train`'):
        call(*words)
