"""Runs side by side on the same images (Fig. 3, 14, 15 of the paper)."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmpretrain.registry import DATASETS

from bas_mm.apis.model import load_model
from bas_mm.utils.progress import track
from bas_mm.visualization import WSOLVisualizer
from bas_mm.visualization.sheet import make_grid, spread_indices

GAP = 4  # pixels between cells
FONT = cv2.FONT_HERSHEY_SIMPLEX


def choose_indices(total: int, num: int, indices: Sequence[int] | None) -> list[int]:
    """Choose the images of a test set to draw.

    Args:
        total: Size of the test set.
        num: How many images, spread evenly.
        indices: These images instead, if there are any.

    Raises:
        ValueError: If an index is not of the test set, or ``num`` is below 1.

    Example:
        >>> choose_indices(9, 3, None), choose_indices(9, 3, [7])
        ([0, 4, 8], [7])
    """
    if not indices:
        return spread_indices(total, num)
    if not all(0 <= i < total for i in indices):
        raise ValueError(
            f'--indices must be 0 to {total - 1}, the images of the test set, got '
            f'{list(indices)}.'
        )
    return list(indices)


def draw_run(
    cfg: Config,
    checkpoint: str | None,
    num: int,
    indices: Sequence[int] | None = None,
) -> tuple[list[np.ndarray], list[str]]:
    """Draw the row of one run.

    Args:
        cfg: The run's config.
        checkpoint: Its checkpoint; None where the config names all weights.
        num: Number of images.
        indices: These images instead, if there are any.

    Returns:
        The cells, ``(h, w, 3)`` uint8 RGB, and the images' paths.
    """
    model = load_model(cfg, checkpoint)
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    visualizer = WSOLVisualizer()
    visualizer.dataset_meta = dataset.metainfo
    cells, paths = [], []
    chosen = choose_indices(len(dataset), num, indices)
    for i in track(chosen, 'Drawing'):
        data = dataset[i]
        with torch.inference_mode():
            sample = model.test_step(pseudo_collate([data]))[0]
        view = data['inputs'].permute(1, 2, 0).numpy().astype(np.uint8)
        cells.append(visualizer.draw(view, sample))
        paths.append(sample.get('img_path', str(i)))
    return cells, paths


def make_sheet(
    rows: Sequence[Sequence[np.ndarray]], names: Sequence[str]
) -> np.ndarray:
    """Lay the rows of runs out on a sheet, their names at the left.

    Args:
        rows: Cells of each run, ``(h, w, 3)`` uint8, as many in each row.
        names: Names of the runs.

    Returns:
        The sheet, ``(H, W, 3)`` uint8.

    Example:
        >>> make_sheet([[np.zeros((40, 50, 3), np.uint8)] * 2], ['CAM']).shape
        (48, 140, 3)
    """
    cells = [cell for row in rows for cell in row]
    sheet = make_grid(cells, len(rows[0]), GAP)
    height = max(cell.shape[0] for cell in cells) + GAP
    return np.hstack([name_strip(names, len(sheet), height), sheet])


def name_strip(names: Sequence[str], height: int, cell: int) -> np.ndarray:
    """Write the names of rows upwards.

    Args:
        names: One name a row.
        height: Height of the sheet, in pixels.
        cell: Height of a row, with its gap.

    Returns:
        The strip, ``(height, 28, 3)`` uint8.

    Example:
        >>> name_strip(['CAM', 'BAS'], 84, 40).shape
        (84, 28, 3)
    """
    strip = np.full((28, height, 3), 255, np.uint8)  # turned below
    for row, name in enumerate(names):
        scale = 0.7
        (width, _), _ = cv2.getTextSize(name, FONT, scale, 2)
        scale = min(scale, scale * (cell - 2 * GAP) / max(width, 1))
        (width, _), _ = cv2.getTextSize(name, FONT, scale, 2)
        middle = height - (GAP + row * cell + (cell - GAP) // 2)
        start = (middle - width // 2, 21)
        cv2.putText(strip, name, start, FONT, scale, (0, 0, 0), 2, cv2.LINE_AA)
    return np.rot90(strip)
