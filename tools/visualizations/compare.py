r"""Runs side by side on the same pictures (Fig. 3, 14, 15 of the paper).

    python tools/visualizations/compare.py CONFIG:CHECKPOINT \
        [CONFIG:CHECKPOINT ...] --names CAM BAS --out sheet.png

Rows are runs, columns pictures, spread evenly over the test set. Each cell
shows the run's map over its view, the ground-truth boxes red, the predicted
box green. ``--data-root`` and ``--cfg-options`` hold for every run.
"""

import argparse
import re
from pathlib import Path
from typing import List, Sequence, Tuple

import bas_mm  # noqa: F401  first, so that its checks speak first

import cv2
import mmcv
import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmpretrain.registry import DATASETS

from bas_mm.engine.grid_hook import make_grid
from bas_mm.utils.cli import (
    add_config_arguments,
    load_model,
    read_config,
    spread_indices,
)
from bas_mm.visualization.visualizer import WSOLVisualizer

GAP = 4  # pixels between cells


def parse_run(text: str) -> Tuple[str, str]:
    """Split ``CONFIG:CHECKPOINT``; either may hold the ``:`` of a drive.

    Raises:
        ArgumentTypeError: If it is something else.
    """
    match = re.fullmatch(r'(.+?\.(?:py|json|ya?ml)):(.+)', text)
    if match is None:
        raise argparse.ArgumentTypeError(
            f'{text!r} is not CONFIG:CHECKPOINT, such as '
            'configs/cam/cam_vgg16_cub.py:work_dirs/cam_vgg16_cub/'
            'epoch_100.pth'
        )
    return match[1], match[2]


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('runs', nargs='+', type=parse_run, metavar='CONFIG:CHECKPOINT')
    parser.add_argument(
        '--names', nargs='+', help="the rows' names (default: the configs')"
    )
    parser.add_argument('--num', type=int, default=8, help='number of pictures')
    parser.add_argument(
        '--indices',
        nargs='+',
        type=int,
        metavar='I',
        help='these pictures of the test set instead',
    )
    parser.add_argument(
        '--out', default='compare.png', metavar='FILE', help='the sheet'
    )
    add_config_arguments(parser)
    args = parser.parse_args()
    if args.names is None:
        args.names = [Path(config).stem for config, _ in args.runs]
    if len(args.names) != len(args.runs):
        parser.error(
            f'--names needs one name for each of the '
            f'{len(args.runs)} runs, got {len(args.names)}'
        )
    return args


def choose(total: int, num: int, indices: Sequence[int]) -> List[int]:
    """Indices of the pictures to draw.

    Raises:
        ValueError: If an index is not of the data set.
    """
    if not indices:
        return spread_indices(total, num)
    if not all(0 <= i < total for i in indices):
        raise ValueError(
            f'--indices must be 0 to {total - 1}, the pictures '
            f'of the test set, got {list(indices)}.'
        )
    return list(indices)


def draw_run(
    cfg, checkpoint: str, num: int, indices: Sequence[int]
) -> Tuple[List[np.ndarray], List[str]]:
    """Draw one run's row.

    Args:
        cfg (Config): The run's config.
        checkpoint (str): Its checkpoint.
        num (int): Number of pictures.
        indices (Sequence[int]): These pictures instead, if there are any.

    Returns:
        tuple: The cells, ``(h, w, 3)`` uint8 RGB, and the pictures' paths.
    """
    model = load_model(cfg, checkpoint)
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    visualizer = WSOLVisualizer()
    visualizer.dataset_meta = dataset.metainfo
    tiles, paths = [], []
    for i in choose(len(dataset), num, indices):
        data = dataset[i]
        with torch.inference_mode():
            sample = model.test_step(pseudo_collate([data]))[0]
        view = data['inputs'].permute(1, 2, 0).numpy().astype(np.uint8)
        tiles.append(visualizer.draw(view, sample))
        paths.append(sample.get('img_path', str(i)))
    return tiles, paths


def name_strip(names: Sequence[str], height: int, cell: int) -> np.ndarray:
    """The rows' names, written upwards, ``(height, w, 3)`` uint8.

    Args:
        names (Sequence[str]): One name a row.
        height (int): Height of the sheet.
        cell (int): Height of a row.
    """
    strip = np.full((28, height, 3), 255, np.uint8)  # turned below
    for row, name in enumerate(names):
        scale = 0.7
        (width, _), _ = cv2.getTextSize(name, cv2.FONT_HERSHEY_SIMPLEX, scale, 2)
        scale = min(scale, scale * (cell - 2 * GAP) / max(width, 1))
        (width, _), _ = cv2.getTextSize(name, cv2.FONT_HERSHEY_SIMPLEX, scale, 2)
        middle = height - (GAP + row * cell + (cell - GAP) // 2)
        cv2.putText(
            strip,
            name,
            (middle - width // 2, 21),
            cv2.FONT_HERSHEY_SIMPLEX,
            scale,
            (0, 0, 0),
            2,
            cv2.LINE_AA,
        )
    return np.rot90(strip)


def main() -> None:
    """Draw the sheet."""
    args = parse_args()
    rows, seen = [], None
    for config, checkpoint in args.runs:
        cfg = read_config(config, args.data_root, args.cfg_options)
        tiles, paths = draw_run(cfg, checkpoint, args.num, args.indices)
        rows.append(tiles)
        names = [Path(path).name for path in paths]
        if seen not in (None, names):
            raise ValueError(
                f'{config} tests on other pictures than {args.runs[0][0]} '
                f'({names[:3]} against {seen[:3]}): give runs of one data '
                'set, or point them at one folder with --data-root.'
            )
        seen = names
    cells = [tile for tiles in rows for tile in tiles]
    sheet = make_grid(cells, len(rows[0]), GAP)
    cell = max(tile.shape[0] for tile in cells) + GAP
    sheet = np.hstack([name_strip(args.names, len(sheet), cell), sheet])
    mmcv.imwrite(np.ascontiguousarray(sheet[..., ::-1]), args.out)
    print(f'{len(rows)} runs, {len(rows[0])} pictures: {args.out}')


if __name__ == '__main__':
    main()
