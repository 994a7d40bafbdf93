import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmpretrain.registry import DATASETS

from bas_mm.analysis.side_by_side import GAP, choose_indices, draw_run, make_sheet
from bas_mm.utils.configs import read_config
from bas_mm.visualization.visualizer import WSOLVisualizer
from tests.helpers.report import build_model, make_data, make_network


@pytest.mark.parametrize('method', ['CAM', 'BAS'])
def test_cells_are_the_runs_own(tmp_path, method):
    make_data(tmp_path)
    config, checkpoint = make_network(tmp_path, 'tiny', method)
    cfg = read_config(str(config), str(tmp_path / 'data'))
    cells, paths = draw_run(cfg, str(checkpoint), num=3)
    model = build_model(config, checkpoint)
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    visualizer = WSOLVisualizer()
    visualizer.dataset_meta = dataset.metainfo
    assert len(cells) == len(paths) == 3
    for cell, path, index in zip(cells, paths, (0, 4, 8)):  # of nine
        data = dataset[index]
        with torch.no_grad():
            sample = model.test_step(pseudo_collate([data]))[0]
        view = data['inputs'].permute(1, 2, 0).numpy()
        expected = visualizer.draw(view, sample)
        np.testing.assert_allclose(  # a map may round differently
            cell.astype(int), expected, atol=3
        )
        assert path == sample.img_path


def test_sheet_has_a_row_a_run():
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 255, (2, 3, 60, 40, 3), np.uint8)
    sheet = make_sheet(rows, ['CAM', 'BAS'])
    assert sheet.shape == (2 * 60 + 3 * GAP, 28 + 3 * 40 + 4 * GAP, 3)
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            y, x = GAP + i * (60 + GAP), 28 + GAP + j * (40 + GAP)
            np.testing.assert_array_equal(sheet[y : y + 60, x : x + 40], cell)


def test_names_stand_beside_their_rows():
    rows = np.full((2, 1, 60, 40, 3), 255, np.uint8)
    one, other = (
        np.flatnonzero(make_sheet(rows, names).min((1, 2)) < 60)
        for names in (('CAM', ''), ('', 'a name that is much too long for its row'))
    )
    assert GAP <= one.min() and one.max() < GAP + 60  # rows with ink
    assert 60 + 2 * GAP <= other.min() and other.max() < 2 * (60 + GAP)


def test_sheet_is_not_mirrored():
    """A name reads upwards: turned back, it is what OpenCV writes."""
    rows = np.full((1, 1, 120, 40, 3), 255, np.uint8)
    strip = np.rot90(make_sheet(rows, ['CAM'])[:, :28], -1)
    font = (cv2.FONT_HERSHEY_SIMPLEX, 0.7)
    (width, _), _ = cv2.getTextSize('CAM', *font, 2)
    expected = np.full(strip.shape, 255, np.uint8)
    start = (len(strip[0]) - (GAP + 60) - width // 2, 21)
    cv2.putText(expected, 'CAM', start, *font, (0, 0, 0), 2, cv2.LINE_AA)
    np.testing.assert_array_equal(strip, expected)


def test_wrong_choices():
    with pytest.raises(ValueError, match='--indices must be 0 to 8.*got .9.'):
        choose_indices(9, 8, [9])
    with pytest.raises(ValueError, match='--indices must be 0 to 8'):
        choose_indices(9, 8, [-1])
    with pytest.raises(ValueError, match='At least 1 image'):
        choose_indices(9, 0, None)
