"""Tables and sentences of a report."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bas_mm.analysis.report.runs import Column, Run, difference

GT_KNOWN = 'wsol/gt_known'
#: The figures of the short table and of the differences.
MAIN = {
    'wsol/top1_loc': 'Top-1 Loc',
    'wsol/top5_loc': 'Top-5 Loc',
    GT_KNOWN: 'GT-known Loc',
    'wsol/gt_known_iou70': 'GT-known Loc at IoU 0.7',
    'wsol_best/gt_known': 'GT-known Loc, best threshold',
    'wsol/max_box_acc_v2': 'MaxBoxAccV2',
    'wsol/max_box_acc': 'MaxBoxAcc',
    'wsol/pxap': 'PxAP',
    'wsol/peak_iou': 'Peak IoU',
    'wsol/iou_median': 'Median IoU of right boxes',
    'wsol/top1_cls': 'Top-1 classification',
}
#: Headings of the groups of all figures.
GROUPS = dict(
    accuracy="One box an image, at the run's threshold (WSOLAccuracy)",
    best='The same at the best threshold of these images',
    max_box_acc='WSOL benchmark (MaxBoxAcc)',
    pxap='Pixels (PxAP)',
    peak='Pixels (PeakIoU)',
    errors='Error types (LocErrors)',
    breakdown='Fit and size (LocBreakdown)',
)
#: Figures that stand elsewhere: the baselines are columns of their own, and
#: the threshold changes neither classification nor counts.
ELSEWHERE = re.compile(r'known_(whole|center)|^wsol_best/(top\d_cls|num_)')


def describe_map(info: dict[str, Any]) -> str:
    """Say in words which classes' maps a run used.

    Args:
        info: What a dump keeps of its run.

    Example:
        >>> describe_map(dict(topk=1, map_label='gt'))
        'of the ground-truth class'
    """
    if 'topk' not in info:
        return 'not known'
    k = min(info['topk'], info.get('num_classes') or info['topk'])
    label = {'gt': 'ground-truth class', 'pred': 'predicted class'}[info['map_label']]
    if k == 1:
        return f'of the {label}'
    forced = f', the {label} among them' if info.get('force_label') else ''
    return f'mean of the {k} best classes{forced}'


def describe_view(run: Run) -> str:
    """Say how large the views of a run are."""
    sizes = {(x['width'], x['height']) for x in run.dump.entries.values()}
    if len(sizes) > 1:
        return 'several sizes'
    ((width, height),) = sizes
    return f'{width}x{height}'


def summary_rows(runs: Sequence[Run]) -> list[list[str]]:
    """Lay out how the runs came about; only what any summary says."""

    def row(name: str, *keys: str) -> list[str]:
        texts = []
        for run in runs:
            value: Any = run.dump.summary
            for key in keys:
                value = value.get(key) if isinstance(value, dict) else None
            texts.append('' if value is None else str(value))
        return [name, *texts]

    rows = [
        row('config hash', 'config_hash'),
        row('data fingerprint', 'data', 'test', 'fingerprint'),
        row('seed of the training', 'training', 'seed'),
        row('epochs', 'training', 'epochs'),
        row('training, seconds', 'training', 'seconds'),
        row('training, MiB on the device', 'training', 'peak_memory', 'device'),
        row('test, seconds', 'seconds'),
        row('bas_mm', 'versions', 'bas_mm'),
        row('torch', 'versions', 'torch'),
    ]
    short = {'config hash', 'data fingerprint'}
    return [
        [r[0], *(text[:12] if r[0] in short else text for text in r[1:])]
        for r in rows
        if any(r[1:])
    ]


def run_rows(runs: Sequence[Run]) -> list[list[str]]:
    """Lay out what the runs are."""

    def row(name: str, key: str, last: int = 0) -> list[str]:
        texts = [str(run.dump.info.get(key, 'not known')) for run in runs]
        return [name, *('/'.join(Path(x).parts[-last:]) for x in texts)]

    return [
        row('model', 'model'),
        row('config', 'config', 1),
        row('checkpoint', 'checkpoint', 2),
        ['map (map_label, topk)', *(describe_map(run.dump.info) for run in runs)],
        row('threshold', 'threshold'),
        ['view', *map(describe_view, runs)],
        ['images', *(f'{len(run.images)} of {len(run.dump)}' for run in runs)],
        *calibration_rows([run.dump.info.get('calibration') for run in runs]),
        *summary_rows(runs),
    ]


#: What a calibration says of the maps, without any box.
CALIBRATION = dict(
    area='box area, share of the view',
    score='score of the label',
    insertion='its score, only the box seen',
    deletion='its score, only what is around the box seen',
    flip='IoU of boxes, mirrored view',
    scale='IoU of boxes, enlarged view',
)


def calibration_rows(found: Sequence[Mapping[str, float] | None]) -> list[list[str]]:
    """Lay out what was found on training images without boxes, if anything.

    Example:
        >>> calibration_rows([None])
        []
        >>> calibration_rows([dict.fromkeys(CALIBRATION, 0.5)])[4]
        ['training images, no boxes: IoU of boxes, mirrored view', '0.50']
    """
    if not any(found):
        return []
    return [
        [
            f'training images, no boxes: {text}',
            *('–' if one is None else f'{one[key]:.2f}' for one in found),
        ]
        for key, text in CALIBRATION.items()
    ]


def main_keys(runs: Sequence[Run]) -> list[str]:
    """Choose the main figures that any of the runs has."""
    return [k for k in MAIN if not all(np.isnan(run.value(k)) for run in runs)]


def main_rows(keys: Sequence[str], columns: Sequence[Column]) -> list[list[str]]:
    """Lay out the main figures.

    Example:
        >>> main_rows(['wsol/pxap'], [Column('a', 'red')])
        [['PxAP', '–']]
    """
    return [[MAIN[k], *(column.text(k) for column in columns)] for k in keys]


def difference_rows(
    keys: Sequence[str], pairs: Sequence[tuple[Column, Column]]
) -> list[list[str]]:
    """Lay out the differences of the main figures.

    Example:
        >>> difference_rows(['wsol/pxap'], [(Column('a', 'red'),) * 2])
        [['PxAP', '–']]
    """
    return [[MAIN[k], *(difference(a, b, k)[0] for a, b in pairs)] for k in keys]


def all_rows(columns: Sequence[Column]) -> list[list[str]]:
    """Lay out every figure, below the headings of ``GROUPS``."""
    rows = []
    for name, heading in GROUPS.items():
        keys = dict.fromkeys(k for column in columns for k in column.groups[name])
        group = [
            [k, *(column.text(k, 2) for column in columns)]
            for k in keys
            if not ELSEWHERE.search(k)
        ]
        if group:
            rows += [[heading], *group]
    return rows


def summary(runs: Sequence[Run]) -> list[str]:
    """Say what the figures mean, in sentences."""
    boxed = [run for run in runs if not np.isnan(run.value(GT_KNOWN))]
    if not boxed:
        return ['There are no ground-truth boxes: only classification.']
    sentences = [
        f'{run.name} has no ground-truth boxes: only classification.'
        for run in runs
        if run not in boxed
    ]
    blind = max(boxed[0].figures[f'{GT_KNOWN}_{x}'] for x in ('whole', 'center'))
    sentences += [
        f'{run.name}: GT-known Loc {run.text(GT_KNOWN)} %, Top-1 Loc '
        f'{run.text("wsol/top1_loc")} %. The better of the image-independent '
        f'baselines has {blind:.1f} %.'
        for run in boxed
    ]
    for run in boxed[1:]:
        text, meaning = difference(run, boxed[0], GT_KNOWN)
        sentences.append(
            f'{run.name} against {boxed[0].name}: {text} points of '
            'GT-known Loc' + (f', {meaning}.' if meaning else '.')
        )
    for run in boxed:
        # What a threshold chosen on the ground truth is worth.
        best = run.figures['wsol_best/gt_known']
        gain = best - run.figures[GT_KNOWN]
        if best <= run.figures['wsol/gt_known_whole']:
            text = 'has no threshold that makes it better than the whole view'
        else:
            text = (
                f'would gain {gain:.1f} points of GT-known Loc at the threshold '
                'that is best for these images, '
                f'{run.figures["wsol_best/threshold"]:.2f}'
            )
        sentences.append(f'{run.name} {text}.')
    return sentences
