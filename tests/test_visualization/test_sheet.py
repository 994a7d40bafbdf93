import cv2
import numpy as np
import pytest

from bas_mm.visualization.sheet import make_grid, spread_indices, write_drawing


@pytest.mark.parametrize(
    ('total', 'num', 'expected'),
    [(10, 4, [0, 3, 6, 9]), (3, 24, [0, 1, 2]), (7, 1, [0]), (0, 5, [])],
)
def test_indices_are_spread_evenly(total, num, expected):
    assert spread_indices(total, num) == expected


def test_no_indices_at_all():
    with pytest.raises(ValueError, match='At least 1 image .*got 0'):
        spread_indices(5, 0)


def test_drawings_are_written_in_their_colors(tmp_path):
    drawing = np.zeros((2, 3, 3), np.uint8)
    drawing[0, 0] = 250, 120, 10
    write_drawing(str(tmp_path / 'new' / 'a.png'), drawing)
    bgr = cv2.imread(str(tmp_path / 'new' / 'a.png'))
    np.testing.assert_array_equal(bgr[..., ::-1], drawing)


def test_grid_of_unequal_drawings():
    tiles = [
        np.full((h, w, 3), i, np.uint8)
        for i, (h, w) in enumerate([(4, 6), (8, 2), (3, 3)])
    ]
    sheet = make_grid(tiles, cols=2, gap=1)
    assert sheet.shape == (2 * 9 + 1, 2 * 7 + 1, 3)
    expected = np.full(sheet.shape, 255, np.uint8)
    expected[1:5, 1:7] = 0
    expected[1:9, 8:10] = 1
    expected[10:13, 1:4] = 2
    np.testing.assert_array_equal(sheet, expected)


def test_grid_of_nothing():
    with pytest.raises(ValueError, match='at least one drawing'):
        make_grid([], 3)
