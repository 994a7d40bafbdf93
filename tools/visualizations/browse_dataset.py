"""See what the model will see: pictures after the pipeline, annotated.

    python tools/visualizations/browse_dataset.py CONFIG --split train

Writes single pictures and ``sheet.png`` with boxes (red), masks (yellow;
ignored pixels grey) and class names to --out-dir, and counts what is odd.

The pipelines of validation and test carry boxes and masks themselves: shown
is what reaches the metrics. The pipeline of training carries none, and its
random crop would not move them. Here every transform runs once on the
picture and, from the same state of the random generators, once on a picture
of each annotation: whatever the pipeline does to the pixels is done to the
annotation, and the box is what is left of it in the view.
"""

import argparse
import random
from collections import Counter
from pathlib import Path
from typing import List, Tuple

import bas_mm  # noqa: F401  first, so that its checks speak first

import cv2
import mmcv
import numpy as np
import torch
from mmengine.utils import track_iter_progress
from mmpretrain.registry import DATASETS
from mmpretrain.structures import DataSample

from bas_mm.datasets import LoadLocAnnotations
from bas_mm.engine.grid_hook import make_grid
from bas_mm.localization import as_array, box_area
from bas_mm.utils.cli import add_config_arguments, read_config, spread_indices
from bas_mm.visualization.visualizer import WSOLVisualizer

YELLOW, GREY = (0, 255, 255), (128, 128, 128)  # BGR


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='train')
    parser.add_argument(
        '--num',
        type=int,
        default=24,
        help='number of pictures, spread evenly over the split',
    )
    parser.add_argument('--cols', type=int, default=6, help='pictures a row')
    parser.add_argument('--out-dir', default='browse', help='folder for the pictures')
    parser.add_argument('--seed', type=int, default=0, help='of the random transforms')
    parser.add_argument(
        '--on-error',
        choices=['raise', 'skip'],
        default='raise',
        help='what to do about a picture that cannot be read: stop, or skip, '
        'count and name it',
    )
    add_config_arguments(parser)
    return parser.parse_args()


def get_state() -> tuple:
    """State of all random generators that transforms use."""
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


def set_state(state: tuple) -> None:
    """Restore what :func:`get_state` gave."""
    random.setstate(state[0])
    np.random.set_state(state[1])
    torch.set_rng_state(state[2])


def annotation_pictures(
    results: dict, loader: LoadLocAnnotations
) -> Tuple[List[np.ndarray], List[np.ndarray]]:
    """Draw the annotations of a loaded picture.

    Args:
        results (dict): Results of the picture's loader.
        loader (LoadLocAnnotations): How masks are read.

    Returns:
        tuple: Pictures of the boxes, one a box, and of the mask (none, or
        its foreground and its ignored pixels), ``(h, w, 3)`` uint8 of 0, 255.
    """
    found = loader(dict(results))
    size = results['img'].shape[:2]
    boxes, masks = [], []
    for x0, y0, x1, y1 in found.get('gt_bboxes', ()):
        boxes.append(np.zeros(size, np.uint8))
        # pixels whose centres are inside
        boxes[-1][
            max(round(float(y0)), 0) : max(round(float(y1)), 0),
            max(round(float(x0)), 0) : max(round(float(x1)), 0),
        ] = 255
    if 'gt_seg_map' in found:
        masks = [
            (found['gt_seg_map'] == value).astype(np.uint8) * 255 for value in (1, 255)
        ]
    return tuple(
        [cv2.merge([picture] * 3) for picture in pictures]
        for pictures in (boxes, masks)
    )


def move(transform, pictures: List[np.ndarray], state: tuple) -> List[np.ndarray]:
    """Run a transform on pictures of annotations.

    It may change colours too. So it also runs on a black and on a white
    picture: annotation is what comes out nearer to the white one.

    Args:
        transform (BaseTransform): The transform.
        pictures (list[np.ndarray]): ``(h, w, 3)`` uint8 of 0 and 255.
        state (tuple): The random state that the real picture met.

    Returns:
        list[np.ndarray]: The same kind of pictures, moved.
    """
    done = []
    if pictures:
        blank = np.zeros_like(pictures[0])
        for picture in (blank, blank + 255, *pictures):
            set_state(state)
            picture = transform(dict(img=picture, img_shape=picture.shape[:2]))['img']
            done.append(picture.astype(np.float32))
    return [
        cv2.merge(
            [
                np.uint8(abs(picture - done[0]).sum(2) > abs(picture - done[1]).sum(2))
                * 255
            ]
            * 3
        )
        for picture in done[2:]
    ]


def replay(
    transforms, info: dict, loader: LoadLocAnnotations
) -> Tuple[np.ndarray, DataSample]:
    """Run a pipeline without annotations, and the annotations through it.

    Args:
        transforms (Sequence): The pipeline.
        info (dict): The data set's info of the picture.
        loader (LoadLocAnnotations): How masks are read.

    Returns:
        tuple: The view, ``(3, h, w)`` uint8, and a sample with ``gt_label``,
        ``gt_bboxes`` (what is left in the view; no area for a box that is
        gone) and ``gt_seg_map``, where the picture has them.
    """
    results, boxes, masks = dict(info), None, None
    for transform in transforms:
        state = get_state()
        results = transform(results)
        if results is None or 'inputs' in results:
            break
        if boxes is None and 'img' in results:
            boxes, masks = annotation_pictures(results, loader)
        elif boxes is not None:
            after = get_state()
            boxes, masks = (
                move(transform, pictures, state) for pictures in (boxes, masks)
            )
            set_state(after)
    if results is None or 'inputs' not in results:
        raise ValueError(
            f'The pipeline gives no `inputs` for {info.get("img_path")}: it '
            'must end in PackInputs.'
        )
    sample = DataSample(metainfo=dict(img_path=info.get('img_path')))
    if 'gt_label' in results['data_samples']:
        sample.set_gt_label(results['data_samples'].gt_label)
    if boxes:
        rects = np.array([cv2.boundingRect(b[..., 0]) for b in boxes])
        sample.gt_bboxes = np.hstack(
            [rects[:, :2], rects[:, :2] + rects[:, 2:]]
        ).astype(np.float32)
    if masks:
        sample.gt_seg_map = np.where(
            masks[1][..., 0] > 0, 255, masks[0][..., 0] > 0
        ).astype(np.uint8)
    return results['inputs'], sample


def load(
    dataset, index: int, carried: bool, loader: LoadLocAnnotations
) -> Tuple[np.ndarray, DataSample]:
    """One picture of a data set: BGR view ``(h, w, 3)`` and sample."""
    if carried:
        packed = dataset[index]
        view, sample = packed['inputs'], packed['data_samples']
    else:
        view, sample = replay(
            dataset.pipeline.transforms, dataset.get_data_info(index), loader
        )
    return np.ascontiguousarray(view.permute(1, 2, 0).numpy()), sample


def tint(view: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Lay a mask over a view: tint and outline.

    Args:
        view (np.ndarray): ``(h, w, 3)`` uint8, BGR.
        mask (np.ndarray): ``(h, w)`` uint8 of 0, 1 and 255 (ignored).
    """
    view = view.copy()
    for value, colour in ((1, YELLOW), (255, GREY)):
        part = mask == value
        view[part] = np.uint8(0.7 * view[part] + 0.3 * np.array(colour))
        contours, _ = cv2.findContours(
            part.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(view, contours, -1, colour, 1)
    return view


def main() -> None:
    """Write the pictures."""
    args = parse_args()
    cfg = read_config(args.config, args.data_root, args.cfg_options)
    loader_cfg = cfg.get(f'{args.split}_dataloader')
    if loader_cfg is None:
        raise ValueError(
            f'{args.config} has no `{args.split}_dataloader`: choose another --split.'
        )
    dataset = DATASETS.build(loader_cfg.dataset)
    if not hasattr(dataset, 'pipeline'):
        raise ValueError(
            f'{type(dataset).__name__} has no pipeline of its own: browse the '
            f'data set inside it, with `--cfg-options {args.split}_dataloader'
            '.dataset=...` or a config that has it alone.'
        )
    transforms = dataset.pipeline.transforms
    carriers = [t for t in transforms if isinstance(t, LoadLocAnnotations)]
    if not carriers:  # masks are read as in the test pipeline
        test = cfg.get('test_dataloader') or {}
        carriers = [
            LoadLocAnnotations(**{k: v for k, v in t.items() if k != 'type'})
            for t in test.get('dataset', {}).get('pipeline', ())
            if str(t['type']).endswith('LoadLocAnnotations')
        ]
    annotations = (carriers or [LoadLocAnnotations()])[0]
    carried = annotations in transforms

    out = Path(args.out_dir)
    out.mkdir(parents=True, exist_ok=True)
    visualizer = WSOLVisualizer()
    visualizer.dataset_meta = dataset.metainfo
    random.seed(args.seed)
    np.random.seed(args.seed)
    torch.manual_seed(args.seed)
    tiles, odd, skipped = [], Counter(), []
    for index in track_iter_progress(spread_indices(len(dataset), args.num)):
        path = Path(dataset.get_data_info(index).get('img_path', str(index)))
        try:
            view, sample = load(dataset, index, carried, annotations)
        except Exception as error:  # noqa: BLE001  whatever a file can do
            if args.on_error == 'raise':
                raise
            skipped.append(f'{path}: {error}')
            continue
        if 'gt_bboxes' not in sample or not len(sample.gt_bboxes):
            odd['without boxes'] += 1
        elif not (box_area(as_array(sample.gt_bboxes)) > 0).all():
            odd['with a box that the view has lost'] += 1
        if 'gt_seg_map' in sample:
            mask = as_array(sample.gt_seg_map)
            if not (mask == 1).any():
                odd['with an empty mask'] += 1
            view = tint(view, mask)
        tiles.append(visualizer.draw(view, sample))
        mmcv.imwrite(
            np.ascontiguousarray(tiles[-1][..., ::-1]),
            str(out / f'{index:06d}_{path.stem}.png'),
        )
    if tiles:
        sheet = make_grid(tiles, args.cols)
        mmcv.imwrite(np.ascontiguousarray(sheet[..., ::-1]), str(out / 'sheet.png'))
    print(
        f'\n{len(dataset)} pictures in {args.split}, '
        f'{len(dataset.metainfo.get("classes") or ())} classes; '
        f'{len(tiles)} drawn in {out}'
    )
    for what, count in odd.items():
        print(f'  {count} {what}')
    if skipped:
        print(f'  {len(skipped)} skipped:', *skipped, sep='\n    ')


if __name__ == '__main__':
    main()
