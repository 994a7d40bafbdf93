"""Sheets of drawings."""

from collections.abc import Sequence

import mmcv
import numpy as np


def spread_indices(total: int, num: int) -> list[int]:
    """Choose at most ``num`` indices, spread evenly over ``range(total)``.

    Raises:
        ValueError: If ``num`` is below 1.

    Example:
        >>> spread_indices(10, 4)
        [0, 3, 6, 9]
    """
    if num < 1:
        raise ValueError(f'At least 1 image must be asked for, got {num}.')
    return np.linspace(0, total - 1, min(num, total)).round().astype(int).tolist()


def make_grid(tiles: Sequence[np.ndarray], cols: int, gap: int = 4) -> np.ndarray:
    """Lay drawings out in rows on white.

    Args:
        tiles: Drawings, ``(h, w, 3)`` uint8; sizes may differ, a cell has the
            largest height and width.
        cols: Drawings a row.
        gap: Pixels between and around cells.

    Returns:
        The sheet, ``(H, W, 3)`` uint8.

    Raises:
        ValueError: If there are no drawings.

    Example:
        >>> make_grid([np.zeros((2, 2, 3), np.uint8)] * 3, cols=2, gap=1).shape
        (7, 7, 3)
    """
    if len(tiles) == 0:
        raise ValueError('A grid needs at least one drawing, got none.')
    height = max(tile.shape[0] for tile in tiles) + gap
    width = max(tile.shape[1] for tile in tiles) + gap
    cols = min(cols, len(tiles))
    rows = -(-len(tiles) // cols)
    sheet = np.full((rows * height + gap, cols * width + gap, 3), 255, np.uint8)
    for i, tile in enumerate(tiles):
        y, x = gap + i // cols * height, gap + i % cols * width
        sheet[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    return sheet


def write_drawing(path: str, drawing: np.ndarray) -> None:
    """Write a drawing to a file; missing folders are made.

    Args:
        path: The file; its extension says the format.
        drawing: Shape ``(h, w, 3)`` uint8, RGB.
    """
    mmcv.imwrite(np.ascontiguousarray(drawing[..., ::-1]), path)
