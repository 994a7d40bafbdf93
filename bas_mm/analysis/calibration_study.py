"""Which rule for the threshold loses least, and which figure tells good runs.

Boxes are used to measure the rules, never inside one.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner.checkpoint import find_latest_checkpoint

from bas_mm.analysis.calibration import (
    Views,
    calibrate,
    localize,
    score_label,
    training_views,
)
from bas_mm.analysis.loaders import build_loader
from bas_mm.analysis.threshold_rules import (
    MAP_RULES,
    NUMBERS,
    activation_curve,
    score_curves,
    set_rules,
)
from bas_mm.apis.model import load_model
from bas_mm.evaluation import interval
from bas_mm.localization import (
    AUTO_SHARE,
    as_array,
    box_iou,
    sweep_largest,
    view_map,
)
from bas_mm.utils.configs import first_dataset, read_config
from bas_mm.utils.tables import render_table

#: Thresholds among which the best one is sought, with the boxes.
THRESHOLDS = np.arange(101) / 100

#: What is known of a run, ready for a json file.
Record = dict[str, Any]


def study_run(
    work_dir: str | Path,
    num_images: int = 100,
    data_root: str | None = None,
    cfg_options: Mapping[str, Any] | None = None,
) -> Record:
    """Try all rules and criteria on a trained run.

    Args:
        work_dir: Where the run was trained; holds its config and checkpoints.
        num_images: Training images for rules and criteria.
        data_root: Where its data is now.
        cfg_options: Settings that win.

    Returns:
        ``data``, ``method``, ``run``; GT-known Loc in percent: ``best`` and
        ``best_t``, ``curve`` against :data:`THRESHOLDS`, ``rules``; the
        threshold each rule gives (mean over images), ``cuts``; whether each image
        is right at ``'auto'``, ``hits``; ``criteria``.

    Raises:
        FileNotFoundError: If there is no config or no checkpoint.
        ValueError: If the test images have no boxes.
    """
    folder = Path(work_dir)
    configs = sorted(folder.glob('*.py'))
    checkpoint = find_latest_checkpoint(str(folder))
    if not configs or checkpoint is None:
        missing = 'checkpoint' if configs else 'config (.py)'
        raise FileNotFoundError(
            f'{folder} is no work dir of a training: it has no {missing}.'
        )
    cfg = read_config(str(configs[-1]), data_root, cfg_options, 'train')
    model = load_model(cfg, checkpoint)
    batches = list(training_views(cfg, model, num_images))
    record = _measure_test(cfg, model, _train_rules(model, batches))
    criteria = dataclasses.asdict(calibrate(model, batches))
    root = first_dataset(cfg.train_dataloader).get('data_root') or 'data'
    method = type(model.head).__name__.removesuffix('Head')
    return dict(
        data=Path(root).name,
        method=method,
        run=folder.name,
        **record,
        criteria=criteria,
    )


def _cuts(maps: Iterable[np.ndarray], size: Sequence[int]) -> dict[str, np.ndarray]:
    """Give what each rule of a map gives for each map."""
    rows = [
        [rule(array) for rule in MAP_RULES.values()]
        for array in (view_map(one, size) for one in maps)
    ]
    return dict(zip(MAP_RULES, np.array(rows).T))


@torch.no_grad()
def _train_rules(model: Any, batches: Sequence[Views]) -> dict[str, float]:
    """Find the numbers that the rules of the training set give.

    Curves, which cost two passes a threshold, are of the first batch alone.
    """
    seen = [localize(model, views) for views in batches]
    cuts = [_cuts(batch.maps, batch.views.inputs.shape[-2:]) for batch in seen]
    views, maps = seen[0].views, seen[0].maps
    low, high = score_label(model, views, views.blank).mean(), seen[0].score.mean()
    inside, around = (
        (curve.mean(0) - low) / max(high - low, 1e-9)
        for curve in score_curves(model, views, maps)
    )
    return set_rules(
        {name: np.concatenate([c[name] for c in cuts]) for name in MAP_RULES},
        activation_curve(model, views, maps).mean(0),
        inside,
        around,
    )


@torch.no_grad()
def _measure_test(cfg: Config, model: Any, numbers: Mapping[str, float]) -> Record:
    """Measure all rules on the test images that have boxes."""
    rights: list[np.ndarray] = []
    cuts: list[dict[str, float]] = []
    for one, size, gt_bboxes in _test_maps(cfg, model):
        own = {name: float(v[0]) for name, v in _cuts([one], size).items()}
        cuts.append({f'{t:g}': t for t in NUMBERS} | own | dict(numbers))
        wanted = np.clip([*THRESHOLDS, *cuts[-1].values()], 0, 1)
        rising, place = np.unique(wanted, return_inverse=True)
        iou = box_iou(sweep_largest(one, size, rising), gt_bboxes).max(1)
        rights.append((iou > 0.5)[place])
    if not rights:
        raise ValueError(
            'No test image has boxes to measure the rules with: give '
            '`test_dataloader.dataset.box_file` by --cfg-options.'
        )
    curve, rules = np.split(100 * np.mean(rights, 0), [len(THRESHOLDS)])
    best = int(curve.argmax())
    auto = len(THRESHOLDS) + list(cuts[0]).index(AUTO)
    return dict(
        num_images=len(rights),
        best=float(curve[best]),
        best_t=float(THRESHOLDS[best]),
        curve=curve.tolist(),
        rules=dict(zip(cuts[0], rules.tolist())),
        cuts={k: float(np.mean([c[k] for c in cuts])) for k in cuts[0]},
        hits=[int(right[auto]) for right in rights],
    )


def _test_maps(
    cfg: Config, model: Any
) -> Iterator[tuple[np.ndarray, tuple[int, int], np.ndarray]]:
    """Give map, size of the view and true boxes of each test image with boxes."""
    for data in build_loader(cfg):
        batch = model.data_preprocessor(data, False)
        for sample in model.predict(
            batch['inputs'], batch['data_samples'], test_cfg=dict(threshold=0.2)
        ):
            if 'gt_bboxes' in sample and len(sample.gt_bboxes):
                yield (
                    as_array(sample.pred_map),
                    tuple(batch['inputs'].shape[-2:]),
                    as_array(sample.gt_bboxes),
                )


def rank_correlation(ours: Sequence[float], others: Sequence[float]) -> float:
    """Give Spearman's rank correlation; ties share their mean rank.

    Returns:
        -1 to 1; NaN where one of them does not vary.

    Example:
        >>> rank_correlation([1, 2, 3], [10, 30, 20])
        0.5
    """
    ranks = []
    for values in (ours, others):
        _, place, count = np.unique(values, return_inverse=True, return_counts=True)
        ranks.append((count.cumsum() - (count - 1) / 2)[place])
    one, two = (rank - rank.mean() for rank in ranks)
    scale = float(np.sqrt((one**2).sum() * (two**2).sum()))
    return float((one * two).sum()) / scale if scale else float('nan')


def regret_table(records: Sequence[Record], markdown: bool = True) -> str:
    """Lay out the regrets: points of GT-known Loc below the best threshold.

    A row for each rule, the least mean regret first; a column for each data set
    and method, mean over runs; the mean over columns; the worst run.
    """
    groups = _groups(records)
    rows = []
    for name in records[0]['rules']:
        means = [
            float(np.mean([r['best'] - r['rules'][name] for r in group]))
            for group in groups.values()
        ]
        worst = max(r['best'] - r['rules'][name] for r in records)
        rows.append((float(np.mean(means)), name, means, worst))
    header = ['rule', *map(' '.join, groups), 'mean', 'worst run']
    body = [
        [name, *(f'{v:.1f}' for v in means), f'{mean:.1f}', f'{worst:.1f}']
        for mean, name, means, worst in sorted(rows)
    ]
    best = ['*best, with boxes (at)*']
    for group in groups.values():
        at = np.mean([r['best_t'] for r in group])
        best.append(f'{np.mean([r["best"] for r in group]):.1f} ({at:.2f})')
    return render_table(header, [best + ['', ''], *body], markdown)


def correlation_table(records: Sequence[Record], markdown: bool = True) -> str:
    """Lay out how well each criterion orders runs by GT-known Loc at ``'auto'``.

    Spearman's rank correlation among the runs of each data set, and its mean.
    """
    by_data: dict[str, list[Record]] = {}
    for record in records:
        by_data.setdefault(record['data'], []).append(record)
    rows = []
    for name, figure in CRITERIA.items():
        values = [
            rank_correlation(
                [figure(r['criteria']) for r in runs],
                [r['rules'][AUTO] for r in runs],
            )
            for runs in by_data.values()
        ]
        known = [v for v in values if not np.isnan(v)]
        mean = float(np.mean(known)) if known else float('nan')
        rows.append([name, *(f'{v:.2f}' for v in values), f'{mean:.2f}'])
    header = ['criterion', *(f'{k} ({len(v)} runs)' for k, v in by_data.items())]
    return render_table([*header, 'mean'], rows, markdown)


def method_table(records: Sequence[Record], markdown: bool = True) -> str:
    """Lay out GT-known Loc at ``'auto'``, a row for each data set and method.

    Mean and standard deviation over runs; at 0.2 and at the best threshold
    (chosen with the boxes) beside it; and the difference to the first method of
    the data set, with its 95 % interval (images drawn with replacement, the same
    for both methods and all runs).
    """
    groups = _groups(records)
    first: dict[str, list[Record]] = {}
    rows = []
    for (data, method), group in groups.items():
        base = first.setdefault(data, group)
        rows.append(
            [
                data,
                method,
                str(len(group)),
                _spread([r['rules'][AUTO] for r in group]),
                f'{np.mean([r["cuts"][AUTO] for r in group]):.2f}',
                _spread([r['rules']['0.2'] for r in group]),
                _spread([r['best'] for r in group]),
                '' if base is group else _difference(group, base),
            ]
        )
    header = [
        'data',
        'method',
        'runs',
        'at auto',
        'auto',
        'at 0.2',
        'best',
        'less first',
    ]
    return render_table(header, rows, markdown)


def _spread(values: Sequence[float]) -> str:
    """Give mean and standard deviation."""
    deviation = np.std(values, ddof=1) if len(values) > 1 else 0.0
    return f'{np.mean(values):.1f} ± {deviation:.1f}'


def _difference(group: Sequence[Record], base: Sequence[Record]) -> str:
    """Give the difference of two methods in points, with its interval."""
    if {r['num_images'] for r in (*group, *base)} != {group[0]['num_images']}:
        return 'other images'
    gain = np.mean([r['hits'] for r in group], 0) - np.mean(
        [r['hits'] for r in base], 0
    )
    drawn = np.random.default_rng(0).integers(len(gain), size=(2000, len(gain)))
    low, high = interval(100 * gain[drawn].mean(1))
    return f'{100 * gain.mean():+.1f} [{low:.1f}, {high:.1f}]'


#: The rule behind ``threshold='auto'`` of a calibrated model.
AUTO = f'{AUTO_SHARE:g} otsu, training mean'

#: What is correlated with GT-known Loc, from the fields of a calibration.
CRITERIA = {
    'insertion': lambda c: c['insertion'] / max(c['score'], 1e-9),
    'less deletion': lambda c: -c['deletion'] / max(c['score'], 1e-9),
    'insertion - deletion': lambda c: (
        (c['insertion'] - c['deletion']) / max(c['score'], 1e-9)
    ),
    'less area': lambda c: -c['area'],
    'insertion - deletion - area': lambda c: (
        (c['insertion'] - c['deletion']) / max(c['score'], 1e-9) - c['area']
    ),
    'flip': lambda c: c['flip'],
    'scale': lambda c: c['scale'],
    'flip + scale': lambda c: c['flip'] + c['scale'],
}


def _groups(records: Sequence[Record]) -> dict[tuple[str, str], list[Record]]:
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record['data'], record['method']), []).append(record)
    return groups
