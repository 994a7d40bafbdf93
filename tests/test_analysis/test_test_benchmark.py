"""The test with ten crops and its plain version."""

import numpy as np
import pytest
import torch

from bas_mm.analysis import plain
from bas_mm.analysis.arms import Stopwatch
from bas_mm.analysis.plain import Ways, first_views, load_plain_model
from bas_mm.analysis.test_benchmark import time_tests
from bas_mm.utils.configs import read_config
from tests.helpers.tiny import save, write_config

CPU = torch.device('cpu')


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """A config with ten crops, and its weights."""
    folder = tmp_path_factory.mktemp('crops')
    path = write_config(folder)
    text = path.read_text().replace("type='CenterCrop'", "type='bas_mm.TenCrop'")
    path.write_text(text)
    return str(path), str(save(path, folder / 'bas.pth'))


def test_both_ways_are_timed(files):
    one, two = time_tests(read_config(files[0]), files[1], [1, 3], 1, CPU)
    for arms, size in ((one, 1), (two, 3)):
        assert [arm.name for arm in arms] == ['bas_mm', 'plain']
        for arm in arms:
            assert arm.batch_size == size and arm.seconds > 0 and arm.memory > 0
            assert set(arm.parts) == {'forward', 'maps', 'boxes'}


@pytest.mark.parametrize(
    'options',
    [
        dict(topk=1),
        dict(topk=2, force_label=True),
        dict(topk=1, map_label='pred'),
    ],
)
def test_each_choice_of_maps(files, options):
    cfg = read_config(
        files[0], None, {f'model.head.{k}': v for k, v in options.items()}
    )
    ways = Ways(load_plain_model(cfg, files[1], CPU), first_views(cfg, 4))
    ways.check()
    scores = ways.ours(Stopwatch(CPU)).scores
    views = ways.model.data_preprocessor(dict(inputs=ways.batch['inputs']))['inputs']
    with torch.no_grad():
        alone = ways.model(views).softmax(1).numpy()
    assert np.abs(scores - alone).max() > 1e-4  # the crops count


def test_a_view_alone(files):
    option = {'test_dataloader.dataset.pipeline.3.type': 'CenterCrop'}
    cfg = read_config(files[0], None, option)
    ways = Ways(load_plain_model(cfg, files[1], CPU), first_views(cfg, 2))
    assert 'crops' not in ways.batch
    ways.check()
    passes = []
    handle = ways.model.head.register_forward_hook(lambda *args: passes.append(1))
    ways.plain(Stopwatch(CPU))
    handle.remove()
    assert len(passes) == 1


def test_a_plain_version_that_finds_something_else(files, monkeypatch):
    boxes = plain.plain_boxes
    monkeypatch.setattr(plain, 'plain_boxes', lambda *args: boxes(*args) + 1)
    with pytest.raises(ValueError, match='do not compute the same'):
        list(time_tests(read_config(files[0]), files[1], [2], 1, CPU))
