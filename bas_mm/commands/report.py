"""Put runs side by side: one page of figures, plots and drawings.

RUN is what `bas-mm test --dump` wrote. The page, `report.html`, holds
everything it shows; the same goes to `report.md`, with its drawings in
`report_files`. Runs are compared on the images that all of them have. Two
columns are image-independent baselines: the whole view and a centered box, as
if they were maps; a figure means something only beside them. Intervals are
95 % percentile bootstraps over the images; those of a difference draw the same
images for both sides.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from bas_mm.analysis.report import build_report
from bas_mm.analysis.report.runs import CENTER, WHOLE
from bas_mm.utils.files import check_output


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        'runs', nargs='+', metavar='RUN', help='a dump of `bas-mm test`'
    )
    parser.add_argument(
        '--out', default='report.html', help='the page (default: report.html)'
    )
    parser.add_argument(
        '--names', nargs='+', help='names of the runs (default: their files)'
    )
    parser.add_argument(
        '--bootstrap',
        type=int,
        default=1000,
        metavar='N',
        help='resamples for the intervals; 0 for none (default: 1000)',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='of the resamples (default: 0)'
    )
    parser.add_argument(
        '--pictures',
        type=int,
        default=6,
        metavar='N',
        help='best, worst and most different images each (default: 6)',
    )


def default_names(paths: Sequence[str]) -> list[str]:
    """Name dumps after their files, or by their paths where files repeat.

    Example:
        >>> default_names(['a/cam', 'b/bas.npz']), default_names(['a/x', 'b/x'])
        (['cam', 'bas'], ['a/x', 'b/x'])
    """
    names = [Path(path).name.removesuffix('.npz') for path in paths]
    return names if len(set(names)) == len(names) else list(paths)


def run(args: argparse.Namespace) -> None:
    """Write the page."""
    error, names = args.parser.error, args.names or default_names(args.runs)
    if Path(args.out).suffix not in ('.html', '.htm'):
        error(f'--out needs a file that ends in .html, got {args.out}')
    if len(names) != len(args.runs):
        error(f'--names has {len(names)} names for {len(args.runs)} runs')
    if len({*names, WHOLE, CENTER}) < len(names) + 2:
        error(
            '--names must differ from each other and from '
            f'{WHOLE!r} and {CENTER!r}, got {names}'
        )
    if min(args.bootstrap, args.pictures) < 0:
        error('--bootstrap and --pictures must be at least 0')
    check_output(args.out, '--out')
    page, note = build_report(
        args.runs, names, args.bootstrap, args.seed, args.pictures
    )
    if note:
        print(f'Warning: {note}')
    print(' and '.join(map(str, page.write(args.out))))
