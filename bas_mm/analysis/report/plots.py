"""Plots of a report: curves and distributions."""

import io
from collections.abc import Callable, Collection, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bas_mm.analysis.report.document import Drawing
from bas_mm.analysis.report.runs import WHOLE, Column, Run
from bas_mm.evaluation import interval

STYLE: dict[Any, Any] = {
    'figure.figsize': (5.6, 3.5),
    'figure.dpi': 160,
    'font.size': 10,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.grid': True,
    'grid.color': '#e4e4e4',
    'axes.axisbelow': True,
    'legend.frameon': False,
    'legend.fontsize': 9,
    'savefig.bbox': 'tight',
    'text.parse_math': False,  # a dollar sign in a name is one
}
#: Names and colors of the kinds of errors.
ERRORS = {
    'err_correct': ('correct', '#5aa469'),
    'err_part': ('part', '#f0c05a'),
    'err_more': ('more', '#7fb2dd'),
    'err_multi': ('several', '#b79ad0'),
    'err_other': ('other', '#c9c9c9'),
    'err_cls': ('wrong class', '#d9796f'),
}


def draw_thresholds(axes: Axes, columns: Sequence[Column]) -> None:
    """Draw GT-known against the threshold of the map."""
    for run in columns:
        if not isinstance(run, Run):
            _draw_level(axes, run, 'wsol/gt_known')
            continue
        metric = run.suite.best
        table = metric.last_table()
        num = len(metric.thresholds)
        hits = np.unpackbits(table['hits'][table['has_box']], axis=2, count=num)
        share = 100 * hits.mean(0)
        for level, line, label in ((0.5, '-', run.name), (0.7, ':', None)):
            row = share[metric.levels.tolist().index(level)]
            # at 1 nothing is above, and the box is the whole view
            axes.plot(
                metric.thresholds[:-1], row[:-1], line, color=run.color, label=label
            )
        used = run.dump.info.get('threshold')
        if isinstance(used, (int, float)):
            _draw_dot(axes, run, used, run.figures['wsol/gt_known'])
        elif used is not None:  # a cut of each map's own
            axes.axhline(run.figures['wsol/gt_known'], color=run.color, ls='-.', lw=1)
    axes.set(
        xlabel='threshold of the map',
        ylabel='GT-known Loc (%)',
        xlim=(0, 1),
        ylim=(0, 100),
    )
    axes.legend()


def draw_pixels(axes: Axes, columns: Sequence[Column]) -> None:
    """Draw pixel IoU against the threshold (paper, Fig. 9)."""
    for run in columns:
        if not isinstance(run, Run):
            _draw_level(axes, run, 'wsol/peak_iou')
            continue
        curve = run.suite.peak.curve
        peak = int(curve.argmax())
        label = f'{run.name}: {curve[peak]:.1f} at {peak}'
        axes.plot(np.arange(256), curve, color=run.color, label=label)
        _draw_dot(axes, run, peak, curve[peak])
    axes.set(
        xlabel='threshold of the map (0 to 255)',
        ylabel='pixel IoU (%)',
        xlim=(0, 255),
        ylim=(0, 100),
    )
    axes.legend()


def _draw_level(axes: Axes, column: Column, key: str) -> None:
    axes.axhline(
        column.figures[key], color=column.color, ls='--', lw=1, label=column.name
    )


def _draw_dot(axes: Axes, column: Column, x: float, y: float) -> None:
    axes.plot(x, y, 'o', color=column.color, mec='white', ms=8)


def draw_iou(axes: Axes, columns: Sequence[Column]) -> None:
    """Draw the distribution of IoU (paper, Fig. 8)."""
    edges, top = np.linspace(0, 1, 21), 0.0
    axes.axvspan(0, 0.5, color='#f5f5f5', zorder=0)
    for run in columns:
        if run.name == WHOLE:
            continue
        iou = run.suite.breakdown.last_table()['iou']
        share = 100 * np.histogram(iou, edges)[0] / len(iou)
        median = run.figures['wsol/iou_median']
        own = isinstance(run, Run)
        top = max(top, share.max())
        axes.stairs(
            share,
            edges,
            color=run.color,
            lw=1.8 if own else 1,
            label=f'{run.name}: median {median:.1f}',
        )
        if own:
            axes.stairs(share, edges, color=run.color, alpha=0.12, fill=True)
            axes.axvline(median / 100, color=run.color, ls='--', lw=1.2)
    axes.set(
        xlabel='IoU of the box with the ground truth',
        ylabel='images (%)',
        xlim=(0, 1),
        ylim=(0, top * (1.15 + 0.08 * len(columns))),
    )
    axes.legend(loc='upper left')


def draw_sizes(axes: Axes, columns: Sequence[Column]) -> None:
    """Draw accuracy by the size of the object (paper, Fig. 10)."""
    keys = [k for k in columns[0].figures if '/gt_known_size_' in k]
    width = 0.8 / len(columns)
    for i, run in enumerate(columns):
        value = np.array([run.figures[k] for k in keys])
        error = None
        if isinstance(run, Run) and keys[0] in run.resampled:
            ends = np.array([interval(run.resampled[k]) for k in keys]).T
            error = np.nan_to_num(np.abs(ends - value))
        axes.bar(
            np.arange(len(keys)) + (i - (len(columns) - 1) / 2) * width,
            np.nan_to_num(value),
            width * 0.92,
            color=run.color,
            yerr=error,
            label=run.name,
            capsize=2,
            error_kw=dict(lw=1, ecolor='#333333'),
        )
    labels = []
    for key in keys:
        low, high = key.rsplit('_', 2)[1:]
        number = columns[0].figures[key.replace('gt_known_', 'num_')]
        labels.append(f'{low} to {high} %\n{number:.0f} images')
    axes.set_xticks(range(len(keys)), labels)
    axes.set(ylabel='GT-known Loc (%)', ylim=(0, 119), yticks=range(0, 101, 20))
    axes.grid(axis='x', visible=False)
    axes.legend(ncols=2, loc='upper center')


def draw_errors(axes: Axes, columns: Sequence[Column]) -> None:
    """Draw the share of each kind of errors."""
    rows, left = range(len(columns)), np.zeros(len(columns))
    for key, (name, color) in ERRORS.items():
        share = np.array([run.figures[f'wsol/{key}'] for run in columns])
        bars = axes.barh(rows, share, 0.7, left, color=color, label=name)
        axes.bar_label(
            bars,
            [f'{x:.0f}' if x >= 5 else '' for x in share],
            label_type='center',
            fontsize=9,
        )
        left += share
    axes.set_yticks(rows, [run.name for run in columns])
    axes.invert_yaxis()
    axes.set(xlabel='images (%)', xlim=(0, 100))
    axes.grid(visible=False)
    axes.legend(ncols=3, loc='lower center', bbox_to_anchor=(0.45, 1))


#: Plots in order: how they are drawn, what the images must have, name of the
#: file, heading and caption.
PLOTS: tuple[tuple[Callable[[Axes, Sequence[Column]], None], str, str, str, str], ...]
PLOTS = (
    (
        draw_thresholds,
        'boxes',
        'thresholds',
        'Accuracy against threshold',
        'Share of images whose box is right when all maps are cut at one threshold: '
        "at IoU 0.5 (solid) and 0.7 (dotted). The dot is the run's own threshold, "
        'dashed lines are the image-independent baselines (IoU 0.5). A high, flat '
        'curve needs no lucky threshold.',
    ),
    (
        draw_pixels,
        'masks',
        'pixels',
        'Pixel IoU against threshold',
        'IoU of the pixels above the threshold with the masks, pooled over all '
        'images; the dot is Peak IoU and Peak T. A wide hill means a map that is '
        'high on the whole object and low elsewhere.',
    ),
    (
        draw_iou,
        'boxes',
        'iou',
        'How well boxes fit',
        'Distribution of IoU over the images; boxes right of the gray part (IoU '
        'above 0.5) count as right. Dashed: the median among the right boxes of a '
        'run, in the legend in percent.',
    ),
    (
        draw_sizes,
        'boxes',
        'size',
        'Accuracy by object size',
        'Share of right boxes by the share of the view that the largest '
        'ground-truth box takes. Large objects are easy for any large box: compare '
        'with the gray bars. Thin lines, where there are any: 95 % intervals.',
    ),
    (
        draw_errors,
        'boxes',
        'errors',
        'What became of the boxes',
        'Each image is of one kind. Part: the box lies in the object and misses '
        'the rest. More: it holds the object and too much besides. Several: it '
        'spans several objects. The image-independent baselines have no class, so '
        'none of theirs is wrong.',
    ),
)


def draw_plots(columns: Sequence[Column], has: Collection[str]) -> list[Drawing]:
    """Draw the plots that the images allow.

    Args:
        columns: The runs, and the baselines after them.
        has: What the images have: ``'boxes'``, ``'masks'``.

    Returns:
        The plots, as PNG.
    """
    plots = []
    for draw, needs, name, heading, caption in PLOTS:
        if needs not in has:
            continue
        file = io.BytesIO()
        with matplotlib.rc_context(STYLE):
            # Bars need room for each column.
            height = 1.5 + 0.42 * len(columns)
            figure = Figure((5.6, height) if draw is draw_errors else None)
            draw(figure.subplots(), columns)
            figure.savefig(file, format='png', metadata={'Software': None})
        plots.append(Drawing(f'{name}.png', file.getvalue(), caption, heading))
    return plots
