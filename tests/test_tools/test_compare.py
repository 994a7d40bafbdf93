import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmpretrain.registry import DATASETS

from bas_mm.visualization.visualizer import WSOLVisualizer

from .tiny_wsol import build, call, load_tool, save, write_config

tool = load_tool('visualizations/compare.py')


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp('compare')
    words = []
    for method in ('CAM', 'BAS'):
        config = write_config(folder, method)
        checkpoint = save(config, folder / f'{method}.pth')
        words.append(f'{config}:{checkpoint}')
    return words


def test_cells_are_the_runs_own_pictures(runs, tmp_path, monkeypatch):
    seen = []
    grid = tool.make_grid
    monkeypatch.setattr(tool, 'make_grid', lambda *a: seen.append(a) or grid(*a))
    out = tmp_path / 'new' / 'sheet.png'
    call(tool, *runs, '--names', 'CAM', 'BAS', '--num', 3, '--out', out)
    ((cells, cols, _),) = seen
    assert cols == 3 and len(cells) == 6
    # first row CAM, second BAS; the pictures 0, 4 and 8 of nine
    for row, run in enumerate(runs):
        cfg, model = build(run.split(':')[0])
        dataset = DATASETS.build(cfg.test_dataloader.dataset)
        visualizer = WSOLVisualizer()
        visualizer.dataset_meta = dataset.metainfo
        for col, index in enumerate((0, 4, 8)):
            data = dataset[index]
            with torch.no_grad():
                sample = model.test_step(pseudo_collate([data]))[0]
            view = data['inputs'].permute(1, 2, 0).numpy()
            expected = visualizer.draw(view, sample)
            np.testing.assert_allclose(  # a map may round differently
                cells[3 * row + col].astype(int), expected, atol=3
            )
    sheet = cv2.imread(str(out))
    height, width = cells[0].shape[:2]
    assert sheet.shape == (2 * height + 12, 3 * width + 16 + 28, 3)
    strip = sheet[:, :28]
    for half in np.array_split(strip, 2):
        assert half.min() < 60  # a name in each row


def test_chosen_pictures(runs, tmp_path):
    out = tmp_path / 'sheet.png'
    call(tool, runs[0], '--indices', 7, '--out', out)
    assert out.is_file()
    with pytest.raises(ValueError, match='--indices must be 0 to 8'):
        call(tool, runs[0], '--indices', 9, '--out', out)
    with pytest.raises(ValueError, match='At least 1 picture'):
        call(tool, runs[0], '--num', 0, '--out', out)


def test_runs_of_other_pictures(runs, tmp_path):
    config, checkpoint = runs[0].split(':')
    other = tmp_path / 'other.py'
    other.write_text(
        f'_base_ = {config!r}\ntest_dataloader = dict(dataset=dict(split=\'train\'))\n'
    )
    with pytest.raises(ValueError, match='tests on other pictures than'):
        call(tool, runs[0], f'{other}:{checkpoint}', '--out', tmp_path / 'sheet.png')


@pytest.mark.parametrize(
    'text, expected',
    [
        ('a/b.py:c/d.pth', ('a/b.py', 'c/d.pth')),
        (r'C:\a.py:D:\b.pth', (r'C:\a.py', r'D:\b.pth')),
        ('a.py:https://x/y.pth', ('a.py', 'https://x/y.pth')),
    ],
)
def test_parse_run(text, expected):
    assert tool.parse_run(text) == expected


@pytest.mark.parametrize(
    'words, message',
    [
        (['a.py'], "'a.py' is not CONFIG:CHECKPOINT"),
        (['a.py:b.pth', '--names', 'x', 'y'], 'one name for each of the 1 runs'),
    ],
)
def test_wrong_command(capsys, words, message):
    with pytest.raises(SystemExit):
        call(tool, *words)
    assert message in capsys.readouterr().err
