"""``bas-mm ddt``."""

import json

import pytest

from bas_mm.datasets import LoadPseudoLabels
from tests.helpers.commands import call
from tests.helpers.inference import make_folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(make_folder(tmp_path))
    return tmp_path


def ddt(*words):
    options = ('--data-root', 'data', '--size', 64, '--batch-size', 4)
    call('ddt', 'tiny.py', '--out', 'boxes.json', *options, *words)
    return json.loads(open('boxes.json').read())


@pytest.mark.parametrize('weights', [(), ('--checkpoint', 'tiny.pth')])
def test_a_box_for_each_training_image(folder, weights, capsys):
    data = ddt(*weights)
    assert capsys.readouterr().out.endswith('6 images: boxes.json\n')
    names = [f'{"abc"[i // 2]}/{i}.png' for i in range(6)]
    assert [image['file_name'] for image in data['images']] == names
    assert [image['height'] for image in data['images']] == [*range(40, 46)]
    assert [one['category_id'] for one in data['annotations']] == [1, 1, 2, 2, 3, 3]
    assert data['info']['complete'] and data['info']['split'] == 'train'
    for image, one in zip(data['images'], data['annotations']):
        x, y, w, h = one['bbox']
        assert 0 <= x < x + w <= image['width'] and 0 <= y < y + h <= image['height']
    # what it wrote is what a training reads
    load = LoadPseudoLabels('boxes.json')
    load.check_images(f'data/{name}' for name in names)


def test_the_size_is_that_of_the_views(folder):
    call('ddt', 'tiny.py', '--out', 'own.json', '--data-root', 'data')
    assert json.loads(open('own.json').read())['info']['size'] == 48
    assert ddt()['info']['size'] == 64


def test_wrong_options(folder):
    with pytest.raises(SystemExit, match='--size 0 and --batch-size 4 must be 1'):
        ddt('--size', 0)
    with pytest.raises(SystemExit, match='boxes.json is a folder'):
        (folder / 'boxes.json').mkdir()
        ddt()
