"""Why cross-entropy finds parts and activation finds wholes (Fig. 1, 11-13).

The ground-truth mask of each image (its boxes where it has no mask) is eroded
and dilated with square kernels of 5n pixels, and each of the masks M is laid
over the features F at the cut of the trunk, at F's resolution. Then

- foreground activation: the class's logit of F * M,
- background activation: the same of F * (1 - M),
- cross-entropy of the class from F * M,

all against the area of M over that of the ground truth. The empty mask and
the full one end every curve. In the mean over images each curve is
interpolated linearly; an image counts up to the area of its view.

Written to --out-dir: curves.csv (every image and mask), mean.csv, study.json
(the mean again, what was left out, and the area at which the mean curves have
made 90 % of their way from the empty to the ground-truth mask), mean.png, and
images.png with single images.
"""

import argparse
from pathlib import Path

from bas_mm.analysis.activation import average, study, write_tables
from bas_mm.analysis.activation_plots import STYLES, plot_images, plot_mean
from bas_mm.analysis.loaders import build_loader
from bas_mm.apis.model import load_model
from bas_mm.utils.configs import read_config
from bas_mm.utils.files import check_output
from bas_mm.utils.options import add_config_arguments
from bas_mm.utils.texts import plural
from bas_mm.visualization.sheet import spread_indices


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('config', help='config file, or its name')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out-dir',
        default='activation_study',
        help='folder for the results (default: activation_study)',
    )
    parser.add_argument(
        '--images',
        type=int,
        metavar='N',
        help='take N images, evenly spread over the test set (default: all)',
    )
    parser.add_argument(
        '--kernel',
        type=int,
        default=5,
        help='step of the kernel, in pixels (default: 5)',
    )
    parser.add_argument(
        '--steps', type=int, default=40, help='largest n, either way (default: 40)'
    )
    parser.add_argument(
        '--max-area',
        type=float,
        default=2.5,
        help='right end of the mean, in ground-truth areas (default: 2.5)',
    )
    parser.add_argument(
        '--plots', type=int, default=6, help='images in images.png (default: 6)'
    )
    add_config_arguments(parser)


def check_args(args: argparse.Namespace) -> None:
    """Check the numbers."""
    error = args.parser.error
    for name in ('images', 'kernel', 'steps', 'plots'):
        value = getattr(args, name)
        if value is not None and value < 1:
            error(f'--{name} must be at least 1, got {value}')
    if args.max_area <= 1:
        error(f'--max-area must be above 1, the ground truth, got {args.max_area}')


def run(args: argparse.Namespace) -> None:
    """Run the study."""
    check_args(args)
    check_output(args.out_dir, '--out-dir', folder=True)
    cfg = read_config(args.config, args.data_root, args.cfg_options)
    model = load_model(cfg, args.checkpoint)
    loader = build_loader(cfg, args.images)
    records = study(model, loader, args.kernel, args.steps)
    left_out = [record['image'] for record in records if 'area' not in record]
    records = [record for record in records if 'area' in record]
    if not records:
        raise ValueError(
            'No image has a mask or a box inside its view: the study needs '
            'ground truth. See `test_dataloader.dataset` and its pipeline '
            '(bas_mm.LoadLocAnnotations, bas_mm.PackLocInputs).'
        )
    mean = average(records, args.max_area)
    out = Path(args.out_dir)
    info = dict(config=args.config, checkpoint=args.checkpoint)
    most = write_tables(out, records, left_out, mean, info)
    images = plural(len(records), 'image')
    title = f'{Path(args.config).stem}: mean of {images} (band: quartiles)'
    plot_mean(mean, title).savefig(out / 'mean.png', dpi=110)
    shown = [records[i] for i in spread_indices(len(records), args.plots)]
    plot_images(shown).savefig(out / 'images.png', dpi=90)
    print(
        f'\n{images}, {len(left_out)} left out (no mask or '
        'box in the view). 90 % of the way from the empty to the '
        'ground-truth mask is made at'
    )
    for name, (title, _) in STYLES.items():
        print(f'  {title:<22} {most[name]:.2f} of the ground-truth area')
    print(f'Tables and plots are in {out}')
