"""The table and the plot of a study: runs, a few seeds each."""

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bas_mm.analysis.jobs import Metrics, Run
from bas_mm.utils.files import write_atomic
from bas_mm.utils.tables import render_table

#: Each run, and the metrics of its seeds (at least one).
Table = Sequence[tuple[Run, Sequence[Metrics]]]

#: Metrics of the table, where there are any of them.
COLUMNS = (
    'wsol/gt_known',
    'wsol/top1_loc',
    'wsol/top5_loc',
    'wsol/top1_cls',
    'wsol/max_box_acc_v2',
)
#: Image-independent baselines: boxes that are the same in every view.
BASELINES = {
    'wsol/gt_known_center': 'centered box',
    'wsol/gt_known_whole': 'whole view',
}


def mean_std(rows: Sequence[Metrics], key: str) -> tuple[float, float]:
    """Give mean and sample standard deviation (0 for one row) of a metric.

    Example:
        >>> mean_std([{'acc': 1.0}, {'acc': 3.0}, {}], 'acc')
        (2.0, 1.4142135623730951)
    """
    values = [row[key] for row in rows if key in row]
    if not values:
        return float('nan'), 0.0
    std = np.std(values, ddof=1) if len(values) > 1 else 0.0
    return float(np.mean(values)), float(std)


def list_metrics(table: Table) -> list[str]:
    """List the names of all metrics that are numbers.

    Example:
        >>> list_metrics([(Run('a', {}), [{'b': 1.0, 'a': 2, 'curve': [1]}])])
        ['a', 'b']
    """
    rows = [row for _, group in table for row in group]
    return sorted({k for row in rows for k in row if isinstance(row[k], (int, float))})


def make_table(table: Table, columns: Sequence[str]) -> str:
    """Lay out the table as markdown: mean and standard deviation over seeds.

    Example:
        >>> print(make_table([(Run('a', {}), [{'acc': 1}, {'acc': 2}])], ['acc']))
        | run |         acc |
        |-----|-------------|
        | a   | 1.50 ± 0.71 |
    """
    seeds = max(len(rows) for _, rows in table)
    lines = []
    for run, rows in table:
        few = f' ({len(rows)} of {seeds} seeds)' if len(rows) < seeds else ''
        cells = [run.name + few]
        for key in columns:
            mean, std = mean_std(rows, key)
            cells.append(f'{mean:.2f}' + (f' ± {std:.2f}' if len(rows) > 1 else ''))
        lines.append(cells)
    header = ['run', *(key.split('/')[-1] for key in columns)]
    return render_table(header, lines, markdown=True)


def write_study(
    table: Table, folder: str | os.PathLike[str], title: str, command: str = ''
) -> str:
    """Write ``table.md``, ``table.csv`` and ``plot.png``.

    Args:
        table: What is done, at least one run.
        folder: Where to.
        title: Title of the plot.
        command: The command line that made it, for ``table.md``.

    Returns:
        The table, markdown.
    """
    out = Path(folder)
    metrics = list_metrics(table)
    columns = [key for key in COLUMNS if key in metrics] or metrics
    text = make_table(table, columns)
    footer = f'\n`{command}`\n' if command else ''
    write_atomic(out / 'table.md', f'{text}\n{footer}'.encode())
    write_rows(table, out / 'table.csv')
    plot(table, columns[:2], title).savefig(out / 'plot.png', dpi=110)
    return text


def write_rows(table: Table, path: str | os.PathLike[str]) -> None:
    """Write all metrics of all rows as csv.

    Args:
        table: The runs.
        path: The file.
    """
    content = io.StringIO(newline='')
    columns = ['run', 'row', *list_metrics(table)]
    writer = csv.DictWriter(content, columns, extrasaction='ignore')
    writer.writeheader()
    for run, rows in table:
        for i, row in enumerate(rows):
            writer.writerow(dict(row, run=run.name, row=i))
    write_atomic(path, content.getvalue().encode())


def plot(table: Table, columns: Sequence[str], title: str) -> Figure:
    """Plot metrics: lines over a number, bars for the rest.

    Args:
        table: The runs; those with an ``x`` each make lines.
        columns: Metrics to show; with GT-known Loc comes that of the
            image-independent baselines.
        title: Title of the plot.
    """
    places = [run.x for run, _ in table if run.x is not None]
    numeric = len(places) == len(table)
    # a bar's figure must fit above it
    wide = 7 if numeric else max(7, 0.35 * len(columns) * len(table))
    figure = Figure(figsize=(wide, 4.4), layout='constrained')
    axis = figure.subplots()
    high = [0.0]
    for i, key in enumerate(columns):
        mean, std = np.array([mean_std(rows, key) for _, rows in table]).T
        high.append(np.nanmax(mean + std))
        label, error = key.split('/')[-1], std if std.any() else None
        if numeric:
            axis.errorbar(places, mean, error, marker='o', capsize=3, label=label)
        else:
            width = 0.8 / len(columns)
            x = np.arange(len(table)) - 0.4 + width * (i + 0.5)
            bars = axis.bar(x, mean, width, yerr=error, capsize=3, label=label)
            axis.bar_label(bars, fmt='%.1f', fontsize=8)
    for (key, name), style in zip(BASELINES.items(), ('--', ':')):
        level = mean_std([row for _, rows in table for row in rows], key)[0]
        if np.isfinite(level) and columns[0] == COLUMNS[0]:
            label = f'gt_known of the {name}'
            axis.axhline(level, color='k', ls=style, lw=1, label=label)
            high.append(level)
    names = [run.name for run, _ in table]
    if numeric:
        _mark_places(axis, names[0].split('=')[0], places)
    else:
        rotation = 0 if len(names) < 4 else 15
        axis.set_xticks(range(len(names)), names, rotation=rotation)
        axis.set_xlim(-0.6, len(names) - 0.4)
        axis.set_ylim(0, 1.1 * np.nanmax(high))
    axis.set_ylabel('%')
    axis.set_title(title, fontsize=10)
    figure.legend(fontsize=8, loc='outside lower center', ncols=3)
    return figure


def _mark_places(axis: Axes, name: str, places: Sequence[float]) -> None:
    """Name the horizontal axis and the places of the runs along it."""
    axis.set_xlabel(name)
    axis.grid(alpha=0.3)
    if places[0] > 0 and places[-1] >= 50:
        axis.set_xscale('log')
    axis.set_xticks(places, [f'{x:g}' for x in places], fontsize=8)
    axis.minorticks_off()
