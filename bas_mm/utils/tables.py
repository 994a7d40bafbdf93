"""Tables for the terminal and for markdown."""

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from bas_mm.evaluation.quote import quote_rows, quoted


class TitledTable(NamedTuple):
    """A table, and the figures in it.

    Attributes:
        title: Of the table.
        header: One text a column.
        rows: As many texts each.
        content: The figures, for the JSON file.
        note: A line below the table, if any.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    content: dict[str, Any]
    note: str = ''


def render_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], markdown: bool = False
) -> str:
    """Lay out a table; columns of numbers to the right, others to the left.

    Args:
        header: One text a column.
        rows: As many texts each.
        markdown: Draw it as markdown does.

    Returns:
        The table, without colors, never wrapped.

    Example:
        >>> print(render_table(['run', 'top1'], [['cam', '55.3']], markdown=True))
        | run | top1 |
        |-----|------|
        | cam | 55.3 |
    """
    table = Table(box=box.MARKDOWN if markdown else box.SIMPLE_HEAD, show_edge=markdown)
    cells = [list(row) for row in rows]
    for i, name in enumerate(header):
        numbers = all(re.match(r'[-+±–]?\d|–?$|nan', row[i]) for row in cells)
        table.add_column(name, justify='right' if numbers else 'left', no_wrap=True)
    for row in cells:
        table.add_row(*row)
    console = Console(file=io.StringIO(), width=10_000, markup=False, emoji=False)
    with console.capture() as capture:
        console.print(table, highlight=False)
    lines = [line.rstrip() for line in capture.get().splitlines()]
    return '\n'.join(line for line in lines if line)


def quote_table(metrics: Mapping[str, Any]) -> str:
    """Lay out the figures to quote; all metrics where none of them is there.

    Args:
        metrics: Names to values, see :func:`bas_mm.evaluation.quote.quote_rows`.

    Returns:
        The table: figure, percent and, where there are any, the mean over the
        classes and the 95 % interval.

    Example:
        >>> print(quote_table({'wsol/gt_known': 55.0, 'wsol/iou_median': 70.0}))
         figure          percent
        ─────────────────────────
         wsol/gt_known     55.00
    """
    if quoted(metrics) == dict(metrics):
        return metrics_table(metrics)
    header = ('figure', 'percent', 'mean over classes', '95% interval')
    rows = list(quote_rows(metrics))
    used = [i for i in range(4) if i < 2 or any(row[i] for row in rows)]
    return render_table(
        [header[i] for i in used], [[row[i] for i in used] for row in rows]
    )


def metrics_table(metrics: Mapping[str, Any]) -> str:
    """Lay out metrics as a table of two columns.

    Args:
        metrics: Name to value. Values other than numbers and texts (whole
            curves, for instance) are left out; ``<name>_ci95`` is put beside
            the value.

    Returns:
        The table; one line saying so if there are no metrics.
    """
    rows = []
    for name, value in metrics.items():
        ends = metrics.get(f'{name}_ci95')
        if isinstance(value, Real) and ends is not None:
            rows.append([name, f'{value:.4f} [{ends[0]:.2f}, {ends[1]:.2f}]'])
        elif isinstance(value, Integral):
            rows.append([name, f'{value:d}'])
        elif isinstance(value, Real):
            rows.append([name, f'{value:.4f}'])
        elif isinstance(value, str):
            rows.append([name, value])
    return render_table(['metric', 'value'], rows) if rows else 'No metrics.'
