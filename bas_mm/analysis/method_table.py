"""The table of methods side by side."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bas_mm.analysis.cost import Cost, Costs
from bas_mm.analysis.jobs import Metrics
from bas_mm.analysis.jobs import Run as Row
from bas_mm.analysis.method_results import Results
from bas_mm.analysis.methods import (
    Method,
    compare_budgets,
    describe_budget,
)
from bas_mm.analysis.report.runs import (
    difference,
    format_figure,
    gap,
)
from bas_mm.analysis.report.tables import GT_KNOWN
from bas_mm.analysis.study_table import mean_std, plot, write_rows
from bas_mm.engine.summary_hook import NAME, read_summary
from bas_mm.utils.files import without_nan, write_atomic
from bas_mm.utils.tables import render_table
from bas_mm.utils.texts import plural

#: Figures of the table.
COLUMNS = {
    GT_KNOWN: 'GT-known Loc',
    'wsol/gt_known_iou70': 'at IoU 0.7',
    'wsol/top1_loc': 'Top-1 Loc',
    'wsol/max_box_acc_v2': 'MaxBoxAccV2',
    'wsol/pxap': 'PxAP',
    'wsol/peak_iou': 'Peak_IoU',
    'wsol/top1_cls': 'Top-1 cls',
}
#: The figure that boxes of the test images chose a threshold for.
BEST = 'wsol_best/gt_known'
BEST_TITLE = 'best, chosen on the test images'

MILLION = 1e6


class Study(NamedTuple):
    """All that the table and the report are of.

    Attributes:
        results: The figures.
        against: Names of the methods that all are compared with; costs are
            relative to the first of them.
        threshold: The threshold that was asked for.
        costs: The costs that were measured.
        notes: Sentences on what failed or is different.
        command: The command line.
    """

    results: Results
    against: Sequence[str]
    threshold: float | str
    costs: Costs
    notes: Sequence[str] = ()
    command: str = ''

    @property
    def keys(self) -> list[str]:
        """The figures of ``COLUMNS`` that there are."""
        rows = [
            row
            for method in self.results.done
            for row in self.results.rows(method.name)
        ]
        return [key for key in COLUMNS if any(key in row for row in rows)]

    def all_notes(self) -> list[str]:
        """Give what is to be said below the table."""
        results = self.results
        notes = [describe_threshold(self.threshold), *compare_budgets(results.methods)]
        for method in results.methods:
            notes += method.notes
            if self.threshold == 'auto':
                notes += describe_calibration(results, method.name)
        for name, (cost, beside) in self.costs.items():
            if cost.batch_size != beside.batch_size:
                notes.append(
                    f'A step of {name} has {cost.batch_size} images, one of '
                    f'{self.against[0]} {beside.batch_size}.'
                )
        return [*notes, *self.notes]


def describe_threshold(threshold: float | str) -> str:
    """Say where all maps were cut, and what chose it.

    Example:
        >>> describe_threshold(0.2)
        'Threshold: 0.2 for all methods.'
    """
    if threshold == 'config':
        return "Threshold: each config's own."
    if threshold == 'auto':
        return (
            'Threshold: auto for all methods, one number a run, found at the end of '
            'training on training images without boxes; nothing of the test images '
            'is in it.'
        )
    return f'Threshold: {threshold} for all methods.'


def describe_calibration(results: Results, name: str) -> list[str]:
    """Say which runs of a method found no threshold at the end of training."""
    runs = results.runs[name]
    lacking = [
        str(seed)
        for seed, run in sorted(runs.items())
        if run.dump.info.get('calibration') is None
    ]
    if not lacking:
        return []
    return [
        f'{name} was not calibrated (seed {", ".join(lacking)}): its maps were cut at '
        'the auto of each map by itself.'
    ]


def spread(rows: Sequence[Metrics], key: str) -> str:
    """Write mean and standard deviation over seeds.

    Example:
        >>> spread([{'wsol/pxap': 1.0}, {'wsol/pxap': 3.0}], 'wsol/pxap')
        '2.0 ± 1.4'
    """
    mean, std = mean_std(rows, key)
    text = format_figure(key, mean)
    return f'{text} ± {std:.1f}' if len(rows) > 1 and text != '–' else text


def mean_threshold(values: Sequence[float | str]) -> str:
    """Write where the runs of a method were cut.

    Example:
        >>> mean_threshold([0.2, 0.3]), mean_threshold(['otsu', 'otsu'])
        ('0.25', 'otsu')
    """
    numbers = [value for value in values if not isinstance(value, str)]
    if len(numbers) == len(values):
        return f'{np.mean(numbers):.2f}'
    return ', '.join(dict.fromkeys(map(str, values)))


def ratio(value: float | None, other: float | None) -> str:
    """Write a cost over another.

    Example:
        >>> ratio(3, 2), ratio(None, 2)
        ('1.50', '–')
    """
    return '–' if not value or not other else f'{value / other:.2f}'


def make_header(study: Study) -> list[str]:
    """Name the columns of the table."""
    names = [COLUMNS[key] for key in study.keys]
    less = [f'less {name}' for name in study.against]
    costs = cost_names(study.against[0]) if study.costs else []
    return ['method', *names, *less, 'threshold', BEST_TITLE, *costs]


def make_rows(study: Study) -> list[list[str]]:
    """Lay the methods out, and below them the image-independent baselines."""
    results, keys = study.results, study.keys
    rows = []
    for method in results.done:
        figures = results.rows(method.name)
        few = len(figures) < len(method.jobs)
        part = f' ({len(figures)} of {plural(len(method.jobs), "seed")})' if few else ''
        cells = [method.name + part, *(spread(figures, key) for key in keys)]
        cells += [less(study, method.name, other) for other in study.against]
        cells += [mean_threshold(results.thresholds(method.name))]
        cells += [spread(figures, BEST)]
        if study.costs:
            cells += cost_cells(study.costs.get(method.name))
        rows.append(cells)
    width = len(make_header(study))
    for column in study.results.baselines():
        cells = [column.name, *(column.text(key) for key in keys)]
        rows.append([*cells, *[''] * (width - len(cells))])
    return rows


def less(study: Study, name: str, other: str, key: str = GT_KNOWN) -> str:
    """Write the difference of two methods, with its interval if there is one."""
    if name == other or not comparable(study, name, other):
        return ''
    return difference(*study.results.pair(name, other), key)[0]


def comparable(study: Study, name: str, other: str) -> bool:
    """Whether two methods share a seed."""
    runs = study.results.runs
    return bool(runs[name].keys() & runs[other].keys())


def cost_names(beside: str) -> list[str]:
    """Name the columns of :func:`cost_cells`.

    Example:
        >>> cost_names('cam')
        ['parameters, M (deployed)', 'step / cam', 'memory / cam']
    """
    return ['parameters, M (deployed)', f'step / {beside}', f'memory / {beside}']


def make_cost_table(costs: Costs, beside: str) -> tuple[list[str], list[list[str]]]:
    """Lay costs out, relative and in units.

    Args:
        costs: What was measured.
        beside: Name of the method that all are compared with.

    Returns:
        The header, and a row for each method.

    Example:
        >>> cam = Cost(2_000_000, 2_000_000, 20.0, 8.0, 4, 'cpu')
        >>> tap = cam._replace(step_ms=30.0)
        >>> header, rows = make_cost_table({'tap': (tap, cam)}, 'cam')
        >>> rows[0][1:]
        ['2.00 (2.00)', '1.50', '1.00', '30', '20', '8', '4', 'cpu']
    """
    units = ['step, ms', f'step of {beside} beside it, ms', 'memory, MiB']
    rows = [
        [
            name,
            *cost_cells((cost, other)),
            f'{cost.step_ms:.0f}',
            f'{other.step_ms:.0f}',
            '–' if cost.memory is None else f'{cost.memory:.0f}',
            str(cost.batch_size),
            cost.device,
        ]
        for name, (cost, other) in costs.items()
    ]
    return ['method', *cost_names(beside), *units, 'batch size', 'device'], rows


def cost_cells(costs: tuple[Cost, Cost] | None) -> list[str]:
    """Write the cost of a method, time and memory relative to another."""
    if costs is None:
        return ['–'] * 3
    cost, other = costs
    counts = f'{cost.parameters / MILLION:.2f} ({cost.deployed / MILLION:.2f})'
    return [
        counts,
        ratio(cost.step_ms, other.step_ms),
        ratio(cost.memory, other.memory),
    ]


def write_table(study: Study, folder: str | Path) -> str:
    """Write ``table.md``, ``table.csv``, ``table.json`` and ``plot.png``.

    Args:
        study: With at least one run.
        folder: Where to.

    Returns:
        The table, markdown, without what is below it.
    """
    out, results = Path(folder), study.results
    text = render_table(make_header(study), make_rows(study), markdown=True)
    notes = '\n'.join(f'- {note}' for note in study.all_notes())
    command = f'\n`{study.command}`\n' if study.command else ''
    write_atomic(out / 'table.md', f'{text}\n\n{notes}\n{command}'.encode())
    table = [(Row(one.name, {}), results.rows(one.name)) for one in results.done]
    write_rows(table, out / 'table.csv')
    content = json.dumps(without_nan(make_json(study)), indent=1)
    write_atomic(out / 'table.json', f'{content}\n'.encode())
    plot(table, study.keys[:3], 'Methods').savefig(out / 'plot.png', dpi=110)
    return text


def make_json(study: Study) -> dict[str, Any]:
    """Gather everything that is known, for other programs."""
    return dict(
        command=study.command,
        threshold=study.threshold,
        against=list(study.against),
        bootstrap=study.results.bootstrap,
        methods=[_method_json(study, method) for method in study.results.done],
        baselines={column.name: column.figures for column in study.results.baselines()},
        notes=study.all_notes(),
    )


def _method_json(study: Study, method: Method) -> dict[str, Any]:
    results, name = study.results, method.name
    rows = results.rows(name)
    keys = [key for key in rows[0] if key != 'seed']
    spreads = {key: mean_std(rows, key) for key in keys}
    differences = {}
    for other in study.against:
        if other != name and comparable(study, name, other):
            pair = results.pair(name, other)
            differences[other] = {key: gap(*pair, key) for key in (*study.keys, BEST)}
    costs = study.costs.get(name)
    return dict(
        name=name,
        budget=describe_budget(method.cfg),
        seeds=[row['seed'] for row in rows],
        thresholds=results.thresholds(name),
        mean={key: mean for key, (mean, _) in spreads.items()},
        std={key: std for key, (_, std) in spreads.items()},
        runs=rows,
        less=differences,
        cost=None if costs is None else costs[0]._asdict(),
        cost_beside=None if costs is None else costs[1]._asdict(),
        summaries={
            seed: read_summary(job.folder / NAME) for seed, job in method.jobs.items()
        },
    )
