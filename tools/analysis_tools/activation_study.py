"""Why cross-entropy finds parts and activation finds wholes (Fig. 1, 11-13).

    python tools/analysis_tools/activation_study.py CONFIG CHECKPOINT

The ground-truth mask of each picture (its boxes where it has no mask) is
eroded and dilated with square kernels of 5n pixels, and each of the masks M
is laid over the features F at the cut of the trunk, at F's resolution. Then

- foreground activation: the mean of the class's logit map of F * M,
- background activation: the same of F * (1 - M),
- cross-entropy of the class from F * M,

all against the area of M over that of the ground truth. The empty mask and
the full one end every curve. In the mean over pictures each curve is
interpolated linearly; a picture counts up to the area of its view.

Written to --out-dir: ``curves.csv`` (every picture and mask), ``mean.csv``,
``study.json`` (the mean again, what was left out, and the area at which the
mean curves have made 90 % of their way from the empty to the ground-truth
mask), ``mean.png``, and ``images.png`` with single pictures.
"""

import argparse
import csv
import json
from pathlib import Path
from typing import Dict, List, Optional

import bas_mm  # noqa: F401  first, so that its checks speak first

import cv2
import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from mmengine.utils import track_iter_progress
from mmpretrain.registry import DATASETS
from torch import nn

from bas_mm.localization import as_array
from bas_mm.utils.cli import (
    add_config_arguments,
    load_model,
    read_config,
    spread_indices,
)

matplotlib.use('Agg')
from matplotlib import pyplot as plt  # noqa: E402

CURVES = dict(
    fg=('foreground activation', 'tab:red'),
    bg=('background activation', 'tab:blue'),
    ce=('cross-entropy', 'tab:green'),
)


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out-dir', default='activation_study', help='folder for the results'
    )
    parser.add_argument(
        '--images',
        type=int,
        metavar='N',
        help='take N pictures, evenly spread over the test set (default: all)',
    )
    parser.add_argument(
        '--kernel', type=int, default=5, help='step of the kernel, in pixels'
    )
    parser.add_argument('--steps', type=int, default=40, help='largest n, either way')
    parser.add_argument(
        '--max-area',
        type=float,
        default=2.5,
        help='right end of the mean, in ground-truth areas',
    )
    parser.add_argument('--plots', type=int, default=6, help='pictures in images.png')
    add_config_arguments(parser)
    args = parser.parse_args()
    for name in ('images', 'kernel', 'steps', 'plots'):
        value = getattr(args, name)
        if value is not None and value < 1:
            parser.error(f'--{name} must be at least 1, got {value}')
    if args.max_area <= 1:
        parser.error(
            f'--max-area must be above 1, the ground truth, got {args.max_area}'
        )
    return args


def ground_truth(sample, size) -> Optional[np.ndarray]:
    """Object of a sample: its mask, else its boxes.

    Args:
        sample (DataSample): May hold ``gt_seg_map`` or ``gt_bboxes``.
        size (tuple): ``(h, w)`` of the view.

    Returns:
        np.ndarray: ``(h, w)`` uint8 of 0 and 1; None where the view shows
        nothing of the object, or nothing is known of it.
    """
    mask = np.zeros(size, np.uint8)
    if 'gt_seg_map' in sample:
        mask[as_array(sample.gt_seg_map).reshape(size) == 1] = 1
    elif 'gt_bboxes' in sample:
        boxes = as_array(sample.gt_bboxes).reshape(-1, 4)
        for x0, y0, x1, y1 in np.round(boxes).astype(int).clip(0):
            mask[y0:y1, x0:x1] = 1
    return mask if mask.any() else None


def sweep_masks(mask: np.ndarray, kernel: int, steps: int) -> np.ndarray:
    """Erode and dilate a mask by square kernels of n times ``kernel`` pixels.

    Args:
        mask (np.ndarray): ``(h, w)`` uint8 of 0 and 1.
        kernel (int): Side of the smallest kernel.
        steps (int): Largest n.

    Returns:
        np.ndarray: ``(n, h, w)`` uint8, each mask inside the next, all
        different, from the empty to the full one, the given one among them.
        The border of the view does not erode.
    """
    masks = [np.zeros_like(mask), mask, np.ones_like(mask)]
    for morph in (cv2.erode, cv2.dilate):
        masks += [
            morph(mask, np.ones((n * kernel, n * kernel), np.uint8))
            for n in range(1, steps + 1)
        ]
    masks = np.stack(masks)
    # nested: masks of equal area are equal
    _, first = np.unique(masks.sum((1, 2)), return_index=True)
    return masks[first]


@torch.inference_mode()
def measure(
    model: nn.Module, feat: torch.Tensor, masks: torch.Tensor, label: torch.Tensor
) -> Dict[str, np.ndarray]:
    """The three figures of one picture under many masks, in one batch.

    Args:
        model (WSOLClassifier): The model.
        feat (torch.Tensor): ``F`` of the picture, ``(N, H, W)``.
        masks (torch.Tensor): ``(n, h, w)``, of 0 and 1.
        label (torch.Tensor): Class, a scalar.

    Returns:
        dict[str, np.ndarray]: 'fg', 'bg', 'ce', each ``(n, )``.
    """
    # area average: a cell that the mask covers by half weighs a half
    small = F.adaptive_avg_pool2d(masks[:, None].float(), feat.shape[1:])
    masked = torch.cat([feat * small, feat * (1 - small)])  # (2n, N, H, W)
    logits = model.head.pool(model.head.classifier(model.neck.f2(masked)))
    fg, bg = logits[:, label].chunk(2)
    ce = F.cross_entropy(
        logits[: len(masks)], label.expand(len(masks)), reduction='none'
    )
    table = torch.stack([fg, bg, ce]).double().cpu().numpy()
    return dict(zip(CURVES, table))


def study(model: nn.Module, loader, kernel: int, steps: int) -> List[dict]:
    """Measure every picture of a loader.

    Returns:
        list[dict]: ``image``, ``label``, ``area`` (of each mask over that of
        the ground truth, ``(n, )``), 'fg', 'bg', 'ce', and for drawing
        ``view`` and ``mask``; only ``image`` where no object is known.
    """
    records = []
    for batch in track_iter_progress((loader, len(loader))):
        views = batch['inputs']
        batch.pop('crops', None)  # of the ten crops only the view
        batch = model.data_preprocessor(batch, False)
        with torch.inference_mode():
            feats = model.neck.f1(batch['inputs'])
        for view, feat, sample in zip(views, feats, batch['data_samples']):
            record = dict(image=sample.get('img_path', str(len(records))))
            records.append(record)
            mask = ground_truth(sample, tuple(view.shape[1:]))
            if mask is None:
                continue
            masks = sweep_masks(mask, kernel, steps)
            label = sample.gt_label[0]
            record.update(
                label=int(label),
                area=masks.sum((1, 2), dtype=np.int64) / int(mask.sum()),
                view=view.permute(1, 2, 0).numpy().astype(np.uint8),
                mask=mask,
                **measure(model, feat, torch.from_numpy(masks).to(feat.device), label),
            )
    return records


def average(
    records: List[dict], max_area: float, num: int = 101
) -> Dict[str, np.ndarray]:
    """Mean curves over the pictures.

    Args:
        records (list[dict]): Records of :func:`study` with a mask.
        max_area (float): Right end of the axis, in ground-truth areas.
        num (int): Points of the axis.

    Returns:
        dict[str, np.ndarray]: ``area`` ``(num, )``, ``images`` (how many
        pictures reach it), and of 'fg', 'bg', 'ce' the mean and, as
        ``*_low`` and ``*_high``, the quartiles; NaN where no picture is.
    """
    area = np.linspace(0, max_area, num)
    table = dict(area=area)
    for name in CURVES:
        rows = np.stack(
            [np.interp(area, r['area'], r[name], right=np.nan) for r in records]
        )
        reached = np.isfinite(rows)
        table['images'] = reached.sum(0)
        some = table['images'] > 0
        for key, figure in (
            (name, np.nanmean),
            (f'{name}_low', lambda a, axis: np.nanpercentile(a, 25, axis)),
            (f'{name}_high', lambda a, axis: np.nanpercentile(a, 75, axis)),
        ):
            table[key] = np.full(num, np.nan)
            table[key][some] = figure(rows[:, some], axis=0)
    return table


def area_of_most(area: np.ndarray, curve: np.ndarray, share: float = 0.9) -> float:
    """Area at which a curve has gone most of its way to the ground truth.

    The way is from area 0 to area 1. NaN where there is none to go.
    """
    start, goal = np.interp([0, 1], area, curve)
    if not abs(goal - start) > 0:
        return float('nan')
    return float(area[((curve - start) / (goal - start) >= share).argmax()])


def plot_curves(axes, table: dict, whole: bool = True) -> None:
    """Draw the activations on the first axis, cross-entropy on the second."""
    keep = slice(None)
    if 'images' in table:  # the right end belongs to small objects alone
        keep = table['images'] * 2 >= table['images'].max()
    for name, (title, colour) in CURVES.items():
        axis = axes[int(name == 'ce')]
        axis.plot(table['area'][keep], table[name][keep], color=colour, label=title)
        if f'{name}_low' in table:
            axis.fill_between(
                table['area'][keep],
                table[f'{name}_low'][keep],
                table[f'{name}_high'][keep],
                color=colour,
                alpha=0.15,
                lw=0,
            )
    for axis in axes:
        axis.axvline(1, color='k', ls='--', lw=1, label='ground truth')
        axis.set_xlabel('area / ground-truth area')
        axis.set_xlim(0)
        axis.legend(fontsize=8)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel('activation of the class')
    axes[1].set_ylabel('cross-entropy of the class')


def plot_mean(table: dict, title: str, path: Path) -> None:
    """Write the plot of the mean."""
    fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout='constrained')
    plot_curves(axes, table)
    fig.suptitle(title, fontsize=10)
    fig.savefig(path, dpi=110)
    plt.close(fig)


def plot_images(records: List[dict], path: Path) -> None:
    """Write the sheet of single pictures."""
    fig, axes = plt.subplots(
        len(records),
        3,
        figsize=(12, 3.2 * len(records)),
        squeeze=False,
        layout='constrained',
    )
    for row, record in zip(axes, records):
        row[0].imshow(record['view'][..., ::-1])
        row[0].contour(record['mask'], [0.5], colors='r', linewidths=2)
        row[0].set_title(
            f'{Path(record["image"]).name}, class {record["label"]}', fontsize=8
        )
        row[0].axis('off')
        plot_curves(row[1:], record)
    fig.savefig(path, dpi=90)
    plt.close(fig)


def write_csv(path: Path, rows: List[dict]) -> None:
    """Write rows of equal keys."""
    with open(path, 'w', newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    """Run the study."""
    args = parse_args()
    cfg = read_config(args.config, args.data_root, args.cfg_options)
    model = load_model(cfg, args.checkpoint)
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    if args.images is not None:
        dataset.get_subset_(spread_indices(len(dataset), args.images))
    records = study(
        model,
        Runner.build_dataloader(
            dict(
                dataset=dataset,
                batch_size=cfg.test_dataloader.batch_size,
                num_workers=cfg.test_dataloader.get('num_workers', 0),
                sampler=dict(type='DefaultSampler', shuffle=False),
                collate_fn=pseudo_collate,
            )
        ),
        args.kernel,
        args.steps,
    )
    left_out = [r['image'] for r in records if 'area' not in r]
    records = [r for r in records if 'area' in r]
    if not records:
        raise ValueError(
            'No picture has a mask or a box inside its view: the study needs '
            'ground truth. See `test_dataloader.dataset` and its pipeline '
            '(bas_mm.LoadLocAnnotations, bas_mm.PackLocInputs).'
        )
    mean = average(records, args.max_area)
    most = {name: area_of_most(mean['area'], mean[name]) for name in CURVES}
    out = Path(args.out_dir)
    out.mkdir(parents=True, exist_ok=True)
    keys = ('area', *CURVES)
    write_csv(
        out / 'curves.csv',
        [
            dict(image=r['image'], label=r['label'], **dict(zip(keys, values)))
            for r in records
            for values in zip(*(r[key].tolist() for key in keys))
        ],
    )
    write_csv(
        out / 'mean.csv',
        [
            dict(zip(mean, values))
            for values in zip(*(column.tolist() for column in mean.values()))
        ],
    )
    (out / 'study.json').write_text(
        json.dumps(
            dict(
                config=args.config,
                checkpoint=args.checkpoint,
                images=len(records),
                left_out=left_out,
                area_of_90_percent=most,
                mean={
                    key: [v if np.isfinite(v) else None for v in column]
                    for key, column in ((k, c.tolist()) for k, c in mean.items())
                },
            ),
            indent=1,
        )
    )
    plot_mean(
        mean,
        f'{Path(args.config).stem}: mean of {len(records)} pictures (band: quartiles)',
        out / 'mean.png',
    )
    plot_images(
        [records[i] for i in spread_indices(len(records), args.plots)],
        out / 'images.png',
    )
    print(
        f'\n{len(records)} pictures, {len(left_out)} left out (no mask or '
        'box in the view). 90 % of the way from the empty to the '
        'ground-truth mask is made at'
    )
    for name, (title, _) in CURVES.items():
        print(f'  {title:<22} {most[name]:.2f} of the ground-truth area')
    print(f'Tables and plots are in {out}')


if __name__ == '__main__':
    main()
