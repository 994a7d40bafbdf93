"""See what the model will see: images after the pipeline, annotated.

Writes single drawings and sheet.png with boxes (red), masks (yellow; ignored
pixels gray) and class names to --out-dir, and counts images whose annotation
is missing or lost.

The pipelines of validation and test carry boxes and masks themselves: shown
is what reaches the metrics. The pipeline of training carries none, and its
random crop would not move them. Here every transform runs once on the image
and, from the same state of the random generators, once on a drawing of each
annotation: whatever the pipeline does to the pixels is done to the
annotation, and the box is what is left of it in the view.
"""

import argparse
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmpretrain.registry import DATASETS
from mmpretrain.structures import DataSample

from bas_mm.analysis.replay import load_view, tint
from bas_mm.datasets import LoadLocAnnotations
from bas_mm.localization import as_array, box_area
from bas_mm.utils.configs import read_config
from bas_mm.utils.options import add_config_arguments
from bas_mm.utils.progress import track
from bas_mm.visualization import WSOLVisualizer
from bas_mm.visualization.sheet import make_grid, spread_indices, write_drawing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('config', help='config file, or its name')
    parser.add_argument(
        '--split',
        choices=['train', 'val', 'test'],
        default='train',
        help='which data set of the config (default: train)',
    )
    parser.add_argument(
        '--num',
        type=int,
        default=24,
        help='number of images, spread evenly over the split (default: 24)',
    )
    parser.add_argument(
        '--cols',
        type=int,
        default=6,
        help='drawings in a row of the sheet (default: 6)',
    )
    parser.add_argument(
        '--out-dir', default='browse', help='folder for the drawings (default: browse)'
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='of the random transforms (default: 0)'
    )
    parser.add_argument(
        '--on-error',
        choices=['raise', 'skip'],
        default='raise',
        help='what to do about an image that cannot be read: stop, or skip, '
        'count and name it (default: raise)',
    )
    add_config_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Write the drawings."""
    for name in ('num', 'cols'):
        value = getattr(args, name)
        if value < 1:
            raise ValueError(f'--{name} must be at least 1, got {value}.')
    cfg = read_config(args.config, args.data_root, args.cfg_options, args.split)
    dataset = build_whole(cfg, args)
    annotations, carried = find_annotations(cfg, dataset)
    out = Path(args.out_dir)
    out.mkdir(parents=True, exist_ok=True)
    visualizer = WSOLVisualizer()
    visualizer.dataset_meta = dataset.metainfo
    random.seed(args.seed)
    np.random.seed(args.seed)
    torch.manual_seed(args.seed)
    tiles: list[np.ndarray] = []
    notes: Counter[str] = Counter()
    skipped = []
    indices = spread_indices(len(dataset), args.num)
    for index in track(indices, 'Drawing'):
        path = Path(dataset.get_data_info(index).get('img_path', str(index)))
        try:
            view, sample = load_view(dataset, index, carried, annotations)
        except Exception as error:  # noqa: BLE001  whatever a file can do
            if args.on_error == 'raise':
                if isinstance(error, ValueError):  # says what is wrong, and where
                    raise ValueError(
                        f'{error} `--on-error skip` leaves it out here.'
                    ) from error
                text = ' '.join(str(error).split())
                raise OSError(
                    f'{path} cannot be loaded ({type(error).__name__}: {text}): '
                    'correct the file, or leave it out with `--on-error skip`.'
                ) from error
            skipped.append(f'{path}: {error}')
            continue
        notes.update(check_sample(sample))
        if 'gt_seg_map' in sample:
            view = tint(view, as_array(sample.gt_seg_map))
        tiles.append(visualizer.draw(view, sample))
        write_drawing(str(out / f'{index:06d}_{path.stem}.png'), tiles[-1])
    if tiles:
        write_drawing(str(out / 'sheet.png'), make_grid(tiles, args.cols))
    print(
        f'\n{len(dataset)} images in {args.split}, '
        f'{len(dataset.metainfo.get("classes") or ())} classes; '
        f'{len(tiles)} drawn in {out}'
    )
    for what, count in notes.items():
        print(f'  {count} {what}')
    if skipped:
        print(f'  {len(skipped)} skipped:', *skipped, sep='\n    ')


def build_whole(cfg: Config, args: argparse.Namespace) -> Any:
    """Build the data set of the split, which must be a single one.

    Raises:
        ValueError: If there is none, or it is put together from others.
    """
    loader = cfg.get(f'{args.split}_dataloader')
    if loader is None:
        raise ValueError(
            f'{args.config} has no `{args.split}_dataloader`: choose another --split.'
        )
    dataset = DATASETS.build(loader.dataset)
    if not hasattr(dataset, 'pipeline'):
        raise ValueError(
            f'{type(dataset).__name__} has no pipeline of its own: browse the '
            f'data set inside it, with `--cfg-options {args.split}_dataloader'
            '.dataset=...` or a config that has it alone.'
        )
    return dataset


def find_annotations(cfg: Config, dataset: Any) -> tuple[LoadLocAnnotations, bool]:
    """Find how annotations are read, and whether the data set's pipeline does so.

    Where it does not, masks are read as in the test pipeline.
    """
    for transform in dataset.pipeline.transforms:
        if isinstance(transform, LoadLocAnnotations):
            return transform, True
    test = cfg.get('test_dataloader') or {}
    for step in test.get('dataset', {}).get('pipeline', ()):
        if str(step['type']).endswith('LoadLocAnnotations'):
            return LoadLocAnnotations(
                **{k: v for k, v in step.items() if k != 'type'}
            ), False
    return LoadLocAnnotations(), False


def check_sample(sample: DataSample) -> list[str]:
    """Say what is missing of the annotations of a sample."""
    notes = []
    if 'gt_bboxes' not in sample or not len(sample.gt_bboxes):
        notes.append('without boxes')
    elif not (box_area(as_array(sample.gt_bboxes)) > 0).all():
        notes.append('with a box that the view has lost')
    if 'gt_seg_map' in sample and not (as_array(sample.gt_seg_map) == 1).any():
        notes.append('with an empty mask')
    return notes
