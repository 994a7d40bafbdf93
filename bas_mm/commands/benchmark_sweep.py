"""Time the sweep over all thresholds against one contour search a threshold.

On one core, for maps of several kinds, in milliseconds of CPU time a map:

- contours: the definition, run as it is written: for each threshold
  `cv2.findContours`, `cv2.contourArea`, `cv2.boundingRect`, IoU;
- search: `cv2.findContours` alone, its result thrown away;
- NumPy and, where it is installed (the extra `fast`), numba: `sweep_contours`,
  which gives the same numbers as contours, to the last bit; the command stops with
  an error if it does not.
"""

import argparse

from bas_mm.analysis.sweep_benchmark import get_ways, one_core, time_kinds
from bas_mm.localization import threshold_grid
from bas_mm.utils.tables import TitledTable, render_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        '--size', type=int, default=224, help='side of the view (default: 224)'
    )
    parser.add_argument(
        '--step',
        type=float,
        default=0.001,
        help='between the thresholds (default: 0.001)',
    )
    parser.add_argument('--maps', type=int, default=5, help='of each kind (default: 5)')


def run(args: argparse.Namespace) -> None:
    """Print the table."""
    table = time_sweep(args)
    print(f'{table.title}\n{render_table(table.header, table.rows)}\n{table.note}')


def time_sweep(args: argparse.Namespace) -> TitledTable:
    """Time the sweep.

    Args:
        args: Of :func:`add_arguments`, and the ``parser``.
    """
    for name in ('size', 'maps'):
        if getattr(args, name) < 1:
            args.parser.error(f'--{name} must be at least 1, got {getattr(args, name)}')
    header = ['map', 'contours', 'search']
    for way in get_ways():
        header += [way, f'search/{way}']
    rows, maps = [], []
    with one_core():
        for kind, times in time_kinds(args.size, args.step, args.maps):
            contours, search, *sweeps = map(float, times)
            maps.append(
                dict(
                    kind=kind,
                    contours=contours,
                    search=search,
                    ways=dict(zip(get_ways(), sweeps)),
                )
            )
            row = [kind, f'{contours:.1f}', f'{search:.1f}']
            for sweep in sweeps:
                row += [f'{sweep:.2f}', f'{search / sweep:.1f}']
            rows.append(row)
    num = len(threshold_grid(args.step))
    return TitledTable(
        f'{args.size}x{args.size}, {num} thresholds, ms of CPU a map, median',
        header,
        rows,
        dict(size=args.size, thresholds=num, maps=maps),
        'equal at every threshold',
    )
