"""What loading costs."""

import time

import pytest
from mmengine.config import Config

from bas_mm.analysis.data_benchmark import time_loading, time_transforms
from bas_mm.registry import TRANSFORMS
from bas_mm.utils.configs import read_config
from tests.helpers.tiny import write_config


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    return str(write_config(tmp_path_factory.mktemp('loading')))


def test_both_pipelines_and_their_loaders(config):
    rows = list(time_loading(read_config(config), 4))
    assert [(row.split, row.step) for row in rows] == [
        *(
            ('train', step)
            for step in ('LoadImageFromFile', 'Resize', 'RandomCrop', 'RandomFlip')
        ),
        ('train', 'PackInputs'),
        ('train', 'all'),
        ('train', 'loader, 0 workers'),
        *(
            ('test', step)
            for step in ('LoadImageFromFile', 'LoadLocAnnotations', 'Resize')
        ),
        ('test', 'CenterCrop'),
        ('test', 'PackLocInputs'),
        ('test', 'all'),
        ('test', 'loader, 0 workers'),
    ]
    for split in ('train', 'test'):
        *steps, whole, loader = [row for row in rows if row.split == split]
        assert sum(row.ms for row in steps) == pytest.approx(whole.ms)
        assert sum(row.share for row in steps) == pytest.approx(1)
        assert loader.ms > 0 and loader.share is None


def test_a_slow_transform_has_its_share(config):
    @TRANSFORMS.register_module(force=True)
    class Spin:
        def __init__(self):
            self.calls = 0

        def __call__(self, results):
            self.calls += 1
            end = time.process_time() + (0.2 if self.calls == 1 else 0.02)
            while time.process_time() < end:
                pass
            return results

    cfg = read_config(config)
    cfg.train_dataloader.dataset.pipeline.insert(2, dict(type='bas_mm.Spin'))
    rows = {row.step: row for row in time_transforms(cfg, 'train', 2)}
    assert list(rows)[2] == 'Spin'
    assert 20 <= rows['Spin'].ms < 60  # not that of the first image
    assert rows['Spin'].share > 0.5


def test_nothing_to_load(config):
    with pytest.raises(ValueError, match='loads nothing'):
        list(time_loading(Config(dict(model=dict())), 4))
    with pytest.raises(ValueError, match='At least 1 image must be asked for, got 0'):
        list(time_loading(read_config(config), 0))


def test_a_loader_without_a_batch(config):
    cfg = read_config(config)
    cfg.train_dataloader.update(drop_last=True, batch_size=1000)
    with pytest.raises(ValueError, match='no whole batch of its 9 images: set `train_'):
        list(time_loading(cfg, 2))
