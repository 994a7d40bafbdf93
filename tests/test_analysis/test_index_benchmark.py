"""What it takes to list images."""

import os

from bas_mm.analysis.index_benchmark import time_index
from bas_mm.datasets import index_file
from bas_mm.utils.configs import read_config
from tests.helpers.data import write_image, write_text
from tests.helpers.tiny import write_config


def test_without_an_index(tmp_path):
    rows = list(time_index(read_config(str(write_config(tmp_path)))))
    assert [row[:3] for row in rows] == [
        ('train', 'folders', 9),
        ('test', 'folders', 9),
    ]
    assert all(row.seconds > 0 for row in rows)


def test_with_an_index(tmp_path, monkeypatch):
    monkeypatch.setattr(index_file, 'WORTH', 3)
    monkeypatch.setattr(index_file, 'TICK', -60.0)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'mine'))
    root = str(tmp_path / 'ilsvrc')
    for name in ('train/a/1.JPEG', 'train/b/2.JPEG', 'train/b/3.JPEG', 'val/4.JPEG'):
        write_image(root, name)
    write_text(root, 'meta', 'val.txt', text='4.JPEG 1\n')
    cfg = read_config('cam_efficientnet-lite0_ilsvrc', root)
    rows = list(time_index(cfg))
    assert [row[:3] for row in rows] == [
        ('train', 'folders', 3),
        ('train', 'index', 3),
        ('test', 'folders', 1),
    ]
    assert not (tmp_path / 'mine').exists()
    assert os.environ['XDG_CACHE_HOME'] == str(tmp_path / 'mine')
    assert all(row.memory is None or row.memory > 1 for row in rows)
    cfg.test_dataloader.dataset = cfg.train_dataloader.dataset
    sources = [row.source for row in time_index(cfg)]
    assert sources == ['folders', 'index', 'folders', 'index']
