"""Activation and cross-entropy of masked features (Fig. 1, 11-13 of the paper).

The features ``F`` at the cut of the trunk are masked by the ground truth,
eroded and dilated step by step, and the rest of the network runs on them.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmpretrain.structures import DataSample

from bas_mm.localization import as_array
from bas_mm.models import WSOLClassifier
from bas_mm.models.necks.split_neck import Pass
from bas_mm.models.trunks import Tokens, as_feat
from bas_mm.utils.files import without_nan, write_atomic
from bas_mm.utils.progress import track

#: What is measured: foreground activation, background activation,
#: cross-entropy.
CURVES = ('fg', 'bg', 'ce')

#: What is known of an image, see :func:`study`.
Record = dict[str, Any]


def ground_truth(sample: DataSample, size: Sequence[int]) -> np.ndarray | None:
    """Give the object of a sample: its mask, else its boxes.

    Args:
        sample: May hold ``gt_seg_map`` or ``gt_bboxes``.
        size: ``(h, w)`` of the view.

    Returns:
        Shape ``(h, w)``, uint8 of 0 and 1; None where the view shows nothing
        of the object, or nothing is known of it.
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
        mask: Shape ``(h, w)``, uint8 of 0 and 1.
        kernel: Side of the smallest kernel.
        steps: Largest n.

    Returns:
        Shape ``(n, h, w)``, uint8: each mask inside the next, all different,
        from the empty to the full one, the given one among them. The border
        of the view does not erode.

    Example:
        >>> sweep_masks(np.uint8([[0, 1, 0, 0]]), kernel=3, steps=1).tolist()
        [[[0, 0, 0, 0]], [[0, 1, 0, 0]], [[1, 1, 1, 0]], [[1, 1, 1, 1]]]
    """
    masks = [np.zeros_like(mask), mask, np.ones_like(mask)]
    for morph in (cv2.erode, cv2.dilate):
        masks += [
            morph(mask, np.ones((n * kernel, n * kernel), np.uint8))
            for n in range(1, steps + 1)
        ]
    stack = np.stack(masks)
    # nested: masks of equal area are equal
    _, first = np.unique(stack.sum((1, 2)), return_index=True)
    return stack[first]


def repeat_image(first: Pass, index: int, times: int) -> Pass:
    """Give one image of a pass through the trunk several times, as a batch."""

    def repeat(tensor: torch.Tensor) -> torch.Tensor:
        return tensor[index : index + 1].expand(times, *tensor.shape[1:])

    flows = tuple(
        Tokens(repeat(flow.seq), flow.size)
        if isinstance(flow, Tokens)
        else repeat(flow)
        for flow in first.flows
    )
    return Pass(tuple(map(as_feat, flows)), flows)


@torch.inference_mode()
def measure(
    model: WSOLClassifier,
    first: Pass,
    masks: torch.Tensor,
    label: torch.Tensor,
    index: int = 0,
) -> dict[str, np.ndarray]:
    """Measure one image under many masks, in one batch.

    Args:
        model: The model.
        first: A pass of the image through the trunk.
        masks: Shape ``(n, h, w)``, of 0 and 1, in pixels of the view.
        label: Class, a scalar.
        index: Which image of the pass.

    Returns:
        'fg' and 'bg' (the class's logit of ``F * M`` and of ``F * (1 - M)``)
        and 'ce' (the class's cross-entropy of ``F * M``), each ``(n,)``.
    """
    n = len(masks)
    feat = first.feats[-2][index]  # (N, H, W)
    # area average: a cell that the mask covers by half weighs a half
    height, width = feat.shape[1:]
    small = F.adaptive_avg_pool2d(masks[:, None].float(), (height, width))
    masked = torch.cat([feat * small, feat * (1 - small)])  # (2n, N, H, W)
    rest = model.neck.run(masked, stage=-1, first=repeat_image(first, index, 2 * n))
    logits = model.head(rest.feats).logits
    fg, bg = logits[:, label].chunk(2)
    ce = F.cross_entropy(logits[:n], label.expand(n), reduction='none')
    table = torch.stack([fg, bg, ce]).double().cpu().numpy()
    return dict(zip(CURVES, table))


def study(
    model: WSOLClassifier, loader: Iterable[Any], kernel: int, steps: int
) -> list[Record]:
    """Measure every image of a loader.

    Args:
        model: The model.
        loader: Its batches are lists, see
            :func:`bas_mm.analysis.loaders.build_loader`.
        kernel: See :func:`sweep_masks`.
        steps: See :func:`sweep_masks`.

    Returns:
        For each image ``image`` (its path), ``label``, ``area`` (of each mask
        over that of the ground truth, ``(n,)``), 'fg', 'bg', 'ce', and for
        drawing ``view`` (BGR) and ``mask``; only ``image`` where no object is
        known.

    Raises:
        ValueError: If the model has no trunk that is cut.
    """
    if not isinstance(model, WSOLClassifier):
        raise ValueError(
            'The study masks the features at the cut of a trunk, but '
            f'{type(model).__name__} is none of WSOLClassifier: give the config and '
            'checkpoint of a single network.'
        )
    records: list[Record] = []
    for batch in track(loader, 'Measuring'):
        views = batch['inputs']
        batch.pop('crops', None)  # of ten crops only the view
        data = model.data_preprocessor(batch, False)
        with torch.inference_mode():
            first = model.neck.run(data['inputs'])
        for index, (view, sample) in enumerate(zip(views, data['data_samples'])):
            record: Record = dict(image=sample.get('img_path', str(len(records))))
            records.append(record)
            mask = ground_truth(sample, tuple(view.shape[1:]))
            if mask is None:
                continue
            masks = sweep_masks(mask, kernel, steps)
            label = sample.gt_label[0]
            given = torch.from_numpy(masks).to(data['inputs'].device)
            record.update(
                label=int(label),
                area=masks.sum((1, 2), dtype=np.int64) / int(mask.sum()),
                view=view.permute(1, 2, 0).numpy().astype(np.uint8),
                mask=mask,
                **measure(model, first, given, label, index),
            )
    return records


def average(
    records: Sequence[Mapping[str, Any]], max_area: float, num: int = 101
) -> dict[str, np.ndarray]:
    """Average the curves of images, each interpolated linearly.

    Args:
        records: Records of :func:`study` with a mask.
        max_area: Right end of the axis, in ground-truth areas.
        num: Points of the axis.

    Returns:
        ``area`` ``(num,)``, ``images`` (how many images reach it), and of
        'fg', 'bg', 'ce' the mean and, as ``*_low`` and ``*_high``, the
        quartiles; NaN where no image is.

    Example:
        >>> curve = np.array([0.0, 4.0])
        >>> record = dict(area=np.array([0, 2]), fg=curve, bg=curve, ce=curve)
        >>> average([record], max_area=2, num=3)['fg'].tolist()
        [0.0, 2.0, 4.0]
    """
    area = np.linspace(0, max_area, num)
    table = dict(area=area)
    for name in CURVES:
        rows = np.stack(
            [np.interp(area, r['area'], r[name], right=np.nan) for r in records]
        )
        table['images'] = np.isfinite(rows).sum(0)
        some = table['images'] > 0
        low, high = np.full((2, num), np.nan)
        low[some], high[some] = np.nanpercentile(rows[:, some], [25, 75], axis=0)
        mean = np.full(num, np.nan)
        mean[some] = np.nanmean(rows[:, some], axis=0)
        table.update({name: mean, f'{name}_low': low, f'{name}_high': high})
    return table


def area_of_most(area: np.ndarray, curve: np.ndarray, share: float = 0.9) -> float:
    """Find the area at which a curve has gone most of its way to the ground truth.

    The way is from area 0 to area 1. NaN where there is none to go.

    Example:
        >>> area_of_most(np.linspace(0, 2, 21), np.linspace(0, 2, 21).clip(0, 0.5))
        0.5
    """
    start, goal = np.interp([0, 1], area, curve)
    if not abs(goal - start) > 0:
        return float('nan')
    return float(area[((curve - start) / (goal - start) >= share).argmax()])


def write_tables(
    folder: Path,
    records: Sequence[Record],
    left_out: Sequence[str],
    mean: Mapping[str, np.ndarray],
    info: Mapping[str, Any],
) -> dict[str, float]:
    """Write ``curves.csv``, ``mean.csv`` and ``study.json``.

    Args:
        folder: Where to.
        records: Records of :func:`study` with a mask.
        left_out: Images without.
        mean: Of :func:`average`.
        info: What was studied.

    Returns:
        See :func:`area_of_most`, of the mean of each curve.
    """
    keys = ('area', *CURVES)
    _write_csv(
        folder / 'curves.csv',
        [
            dict(image=r['image'], label=r['label'], **dict(zip(keys, values)))
            for r in records
            for values in zip(*(r[key].tolist() for key in keys))
        ],
    )
    columns = {key: column.tolist() for key, column in mean.items()}
    _write_csv(
        folder / 'mean.csv',
        [dict(zip(columns, values)) for values in zip(*columns.values())],
    )
    most = {name: area_of_most(mean['area'], mean[name]) for name in CURVES}
    content = dict(
        info,
        images=len(records),
        left_out=list(left_out),
        area_of_90_percent=most,
        mean={
            key: [value if np.isfinite(value) else None for value in column]
            for key, column in columns.items()
        },
    )
    write_atomic(
        folder / 'study.json', json.dumps(without_nan(content), indent=1).encode()
    )
    return most


def _write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    content = io.StringIO(newline='')
    writer = csv.DictWriter(content, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(path, content.getvalue().encode())
