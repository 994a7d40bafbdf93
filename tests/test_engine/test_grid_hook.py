import logging
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample

from bas_mm.engine import grid_hook
from bas_mm.engine.grid_hook import GridHook


class Recorder:
    """A visualizer that draws the number of the sample."""

    def __init__(self):
        self.drawn = []

    def draw(self, image, data_sample, **kwargs):
        assert image.shape == (6, 8, 3) and image.dtype == np.uint8
        assert (image == data_sample.sample_idx).all()
        self.drawn.append(data_sample.sample_idx)
        return np.dstack([image[..., 0], image[..., 0] * 0, image[..., 0]])


def run(hook, tmp_path, total, batch_size=4, stage='val'):
    loader = SimpleNamespace(sampler=range(total))
    runner = SimpleNamespace(
        visualizer=Recorder(),
        val_dataloader=loader,
        test_dataloader=loader,
        work_dir=str(tmp_path),
        logger=logging.getLogger('grid'),
    )
    hook.before_run(runner)
    getattr(hook, f'before_{stage}_epoch')(runner)
    for i, start in enumerate(range(0, total, batch_size)):
        ids = range(start, min(start + batch_size, total))
        getattr(hook, f'after_{stage}_iter')(
            runner,
            i,
            dict(inputs=[torch.full((3, 6, 8), j, dtype=torch.uint8) for j in ids]),
            [DataSample(metainfo=dict(sample_idx=j)) for j in ids],
        )
    getattr(hook, f'after_{stage}_epoch')(runner, {})
    return runner.visualizer.drawn


@pytest.mark.parametrize('stage', ['val', 'test'])
@pytest.mark.parametrize(
    'total, num, expected',
    [
        (101, 5, [0, 25, 50, 75, 100]),
        (10, 4, [0, 3, 6, 9]),
        (3, 24, [0, 1, 2]),
        (7, 1, [0]),
    ],
)
def test_images_are_spread_evenly(tmp_path, total, num, expected, stage):
    drawn = run(GridHook(num=num, cols=2), tmp_path, total, stage=stage)
    assert drawn == expected
    sheet = cv2.imread(str(tmp_path / 'grid.png'))
    for i, number in enumerate(expected):
        y, x = 4 + i // 2 * 10, 4 + i % 2 * 12
        assert (sheet[y : y + 6, x : x + 8] == (number, 0, number)).all()


def test_second_epoch_starts_anew(tmp_path):
    hook = GridHook(num=4)
    assert run(hook, tmp_path, 10) == run(hook, tmp_path, 10)


def test_out_dir(tmp_path):
    run(GridHook(out_dir=str(tmp_path / 'a' / 'b')), tmp_path, 5)
    assert (tmp_path / 'a' / 'b' / 'grid.png').is_file()
    assert not (tmp_path / 'grid.png').exists()


def test_only_the_first_process_draws(tmp_path, monkeypatch):
    monkeypatch.setattr(grid_hook, 'is_main_process', lambda: False)
    assert run(GridHook(), tmp_path, 10) == []
    assert not (tmp_path / 'grid.png').exists()


def test_empty_data_set(tmp_path):
    assert run(GridHook(), tmp_path, 0) == []
    assert not (tmp_path / 'grid.png').exists()


def test_wrong_visualizer():
    with pytest.raises(TypeError, match='WSOLVisualizer'):
        GridHook().before_run(SimpleNamespace(visualizer=object()))


@pytest.mark.parametrize('kwargs', [dict(num=0), dict(cols=0)])
def test_wrong_numbers(kwargs):
    with pytest.raises(ValueError, match='at least 1'):
        GridHook(**kwargs)
