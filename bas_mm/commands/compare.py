r"""Draw runs side by side on the same images (Fig. 3, 14, 15 of the paper).

    bas-mm compare CONFIG:CHECKPOINT [CONFIG:CHECKPOINT ...] \
        --names CAM BAS --out sheet.png

Rows are runs, columns images, spread evenly over the test set. Each cell shows
the run's map over its view, the ground-truth boxes red, the predicted box
green. `--data-root` and `--cfg-options` hold for every run.
"""

import argparse
import re
from pathlib import Path

import cv2

from bas_mm.analysis.side_by_side import draw_run, make_sheet
from bas_mm.utils.configs import read_config
from bas_mm.utils.files import check_output
from bas_mm.utils.options import add_config_arguments
from bas_mm.utils.texts import plural
from bas_mm.visualization.sheet import write_drawing


def parse_run(text: str) -> tuple[str, str]:
    """Split ``CONFIG:CHECKPOINT``; either may hold the ``:`` of a drive.

    Raises:
        ArgumentTypeError: If it is something else.

    Example:
        >>> parse_run('C:/a.py:D:/b.pth'), parse_run('cam_vgg16_cub:b.pth')
        (('C:/a.py', 'D:/b.pth'), ('cam_vgg16_cub', 'b.pth'))
    """
    match = re.fullmatch(r'(.+?\.(?:py|json|ya?ml)|[\w-]{2,}):(?!//)(.+)', text)
    if match is None:
        raise argparse.ArgumentTypeError(
            f'{text!r} is not CONFIG:CHECKPOINT, such as '
            'cam_vgg16_cub:work_dirs/cam_vgg16_cub/epoch_100.pth'
        )
    return match[1], match[2]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        'runs',
        nargs='+',
        type=parse_run,
        metavar='CONFIG:CHECKPOINT',
        help='config (a file or a name) and checkpoint of each run',
    )
    parser.add_argument(
        '--names', nargs='+', help="the rows' names (default: the configs')"
    )
    parser.add_argument(
        '--num', type=int, default=8, help='number of images (default: 8)'
    )
    parser.add_argument(
        '--indices',
        nargs='+',
        type=int,
        metavar='I',
        help='these images of the test set instead',
    )
    parser.add_argument(
        '--out',
        default='compare.png',
        metavar='FILE',
        help='the sheet (default: compare.png)',
    )
    add_config_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Draw the sheet."""
    names = args.names or [Path(config).stem for config, _ in args.runs]
    if len(names) != len(args.runs):
        args.parser.error(
            f'--names needs one name for each of the {len(args.runs)} runs, got '
            f'{len(names)}'
        )
    check_output(args.out, '--out')
    if not cv2.haveImageWriter(args.out):
        args.parser.error(
            '--out needs a file that ends as an image does (.png, .jpg, ...), got '
            f'{args.out}'
        )
    rows, seen = [], None
    for config, checkpoint in args.runs:
        cfg = read_config(config, args.data_root, args.cfg_options)
        cells, paths = draw_run(cfg, checkpoint, args.num, args.indices)
        rows.append(cells)
        images = [Path(path).name for path in paths]
        if seen not in (None, images):
            raise ValueError(
                f'{config} tests on other images than {args.runs[0][0]} '
                f'({images[:3]} against {seen[:3]}): give runs of one data '
                'set, or point them at one folder with --data-root.'
            )
        seen = images
    write_drawing(args.out, make_sheet(rows, names))
    counts = f'{plural(len(rows), "run")}, {plural(len(rows[0]), "image")}'
    print(f'{counts}: {args.out}')
