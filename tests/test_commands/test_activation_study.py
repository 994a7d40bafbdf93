"""``bas-mm activation-study``."""

import csv
import json

import cv2
import numpy as np
import pytest

from tests.helpers.commands import call
from tests.helpers.tiny import save, write_config

COMMAND = 'activation-study'


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp('study')
    config = write_config(folder)
    return config, save(config, folder / 'bas.pth')


def test_command(tiny, tmp_path, capsys):
    call(
        COMMAND, *tiny, '--images', 5, '--out-dir', tmp_path, '--steps', 3, '--plots', 2
    )
    assert '5 images, 0 left out' in capsys.readouterr().out
    with open(tmp_path / 'curves.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    images = {row['image'] for row in rows}
    assert len(images) == 5
    for image in images:
        area = [float(r['area']) for r in rows if r['image'] == image]
        assert area[0] == 0 and 1.0 in area and area == sorted(area)
    study = json.loads((tmp_path / 'study.json').read_text())
    assert study['images'] == 5 and study['left_out'] == []
    # at area 0 the mean is that of the empty masks
    first = [float(r['fg']) for r in rows if float(r['area']) == 0]
    assert study['mean']['fg'][0] == pytest.approx(np.mean(first))
    for name in ('mean.png', 'images.png'):
        assert cv2.imread(str(tmp_path / name)).std() > 5


def test_no_ground_truth(tiny, tmp_path):
    with pytest.raises(SystemExit, match='No image has a mask or a box'):
        call(
            COMMAND,
            *tiny,
            '--out-dir',
            tmp_path,
            '--cfg-options',
            'test_dataloader.dataset.pipeline.1.threshold=300',
            'test_dataloader.dataset.pipeline.4.algorithm_keys=()',
        )


def test_checkpoint_of_another_model(tiny, tmp_path):
    with pytest.raises(
        SystemExit, match='3 classes and the config 4 .`model.head.num_classes`'
    ):
        call(
            COMMAND,
            *tiny,
            '--out-dir',
            tmp_path,
            '--cfg-options',
            'model.head.num_classes=4',
        )


@pytest.mark.parametrize(
    'option, value, message',
    [
        ('--images', 0, '--images must be at least 1'),
        ('--kernel', -5, '--kernel must be at least 1'),
        ('--max-area', 1, '--max-area must be above 1'),
    ],
)
def test_wrong_options(tiny, capsys, option, value, message):
    with pytest.raises(SystemExit):
        call(COMMAND, *tiny, f'{option}={value}')
    assert message in capsys.readouterr().err


def test_a_file_in_the_place_of_the_folder_is_told_first(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(SystemExit, match='file is not a folder.*--out-dir'):
        call(COMMAND, 'no.py', 'no.pth', '--out-dir', tmp_path / 'file')


def test_a_single_image(tiny, tmp_path, capsys):
    words = ('--images', 1, '--out-dir', tmp_path, '--steps', 1, '--plots', 1)
    call(COMMAND, *tiny, *words)
    assert '1 image, 0 left out' in capsys.readouterr().out
