"""Plots of the study of activation and cross-entropy."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

#: Title and color of each curve.
STYLES = dict(
    fg=('foreground activation', 'tab:red'),
    bg=('background activation', 'tab:blue'),
    ce=('cross-entropy', 'tab:green'),
)


def plot_curves(axes: Sequence[Axes], table: Mapping[str, Any]) -> None:
    """Draw the activations on the first axis, cross-entropy on the second.

    Args:
        axes: Two axes.
        table: A record of :func:`bas_mm.analysis.activation.study`, or the
            mean over records, whose quartiles make bands.
    """
    keep: Any = slice(None)
    if 'images' in table:  # the right end belongs to small objects alone
        keep = table['images'] * 2 >= table['images'].max()
    area = table['area'][keep]
    for name, (title, color) in STYLES.items():
        axis = axes[int(name == 'ce')]
        axis.plot(area, table[name][keep], color=color, label=title)
        if f'{name}_low' in table:
            low, high = (table[f'{name}_{end}'][keep] for end in ('low', 'high'))
            axis.fill_between(area, low, high, color=color, alpha=0.15, lw=0)
    for axis in axes:
        axis.axvline(1, color='k', ls='--', lw=1, label='ground truth')
        axis.set_xlabel('area / ground-truth area')
        axis.set_xlim(0)
        axis.legend(fontsize=8)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel('activation of the class')
    axes[1].set_ylabel('cross-entropy of the class')


def plot_mean(table: Mapping[str, np.ndarray], title: str) -> Figure:
    """Plot the mean over images."""
    figure = Figure(figsize=(10, 4), layout='constrained')
    plot_curves(figure.subplots(1, 2), table)
    figure.suptitle(title, fontsize=10)
    return figure


def plot_images(records: Sequence[Mapping[str, Any]]) -> Figure:
    """Plot single images, a row each: the view, its curves."""
    size = (12, 3.2 * len(records))
    figure = Figure(figsize=size, layout='constrained')
    for row, record in zip(figure.subplots(len(records), 3, squeeze=False), records):
        row[0].imshow(record['view'][..., ::-1])
        row[0].contour(record['mask'], [0.5], colors='r', linewidths=2)
        row[0].set_title(
            f'{Path(record["image"]).name}, class {record["label"]}', fontsize=8
        )
        row[0].axis('off')
        plot_curves(row[1:], record)
    return figure
