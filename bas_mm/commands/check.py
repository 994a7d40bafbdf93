"""Read all data once, before days on a GPU are spent on it.

Every image is decoded, every box compared with its image, every mask read, in
parallel. The report counts the images of each class and names what cannot be
used, with the likely cause. The code is 1 where something is to be corrected, 0
otherwise. DATA is a folder in one of the layouts of the documentation.
"""

import argparse
import sys

from bas_mm.datasets.check import LAYOUTS, SplitReport, check_data
from bas_mm.utils.tables import render_table

#: So many of a kind are named unless all are asked for.
SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('data', metavar='DATA', help='folder of the data')
    parser.add_argument(
        '--layout', choices=list(LAYOUTS), help='of the folder (default: by its files)'
    )
    parser.add_argument(
        '--box-file', help='boxes of your own images: COCO json, or a folder of XML'
    )
    parser.add_argument('--mask-dir', help='masks of your own images: a folder of PNG')
    parser.add_argument(
        '--workers', type=int, help='threads that read (default: twice the cores)'
    )
    parser.add_argument('--all', action='store_true', help='name all, not the first 10')


def run(args: argparse.Namespace) -> None:
    """Print the report.

    Raises:
        SystemExit: With code 1 if there is a problem.
    """
    if args.workers is not None and args.workers < 1:
        args.parser.error(f'--workers must be at least 1, got {args.workers}')
    extras = dict(box_file=args.box_file, mask_dir=args.mask_dir)
    settings = {name: value for name, value in extras.items() if value}
    if settings and args.layout not in (None, 'custom'):
        args.parser.error('--box-file and --mask-dir are for --layout custom')
    reports = []
    for report in check_data(args.data, args.layout, args.workers, True, **settings):
        reports.append(report)
        print(f'\n{report.split}: {describe(report, args.all)}')
    names = list(dict.fromkeys(name for one in reports for name in one.classes))
    rows = [
        [name, *(str(one.classes.get(name, 0)) for one in reports)] for name in names
    ]
    shown = rows if args.all else rows[:30]
    print('\n' + render_table(['class', *(one.split for one in reports)], shown))
    if len(shown) < len(rows):
        print(f'... and {len(rows) - len(shown)} classes more (--all)')
    total = sum(len(found) for one in reports for found in one.problems.values())
    if total:
        sys.exit(f'{total} problems in {args.data}.')
    print(f'No problem in {args.data}.')


def describe(report: SplitReport, everything: bool) -> str:
    """Describe a split: its counts, then each kind of problem.

    Args:
        report: Of the split.
        everything: Name all cases.
    """
    lines = [
        f'{report.images} images of {len(report.classes)} classes, {report.boxes} with '
        f'boxes, {report.masks} with masks'
    ]
    if report.cause:
        lines.append(f'  bad boxes: {report.cause}')
    for kind, found in report.problems.items():
        lines.append(f'  {kind} ({len(found)}):')
        shown = found if everything else found[:SHOWN]
        lines += [f'    {one}' for one in shown]
        if len(shown) < len(found):
            lines.append(f'    ... and {len(found) - len(shown)} more (--all)')
    return '\n'.join(lines)
