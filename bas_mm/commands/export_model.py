"""Write a trained model to a file that runs without this package.

The file takes a batch of RGB images of any size, (B, 3, H, W) uint8, and gives
`scores` (B, C), `map` (B, h, w), and `classes` (B, K) with their `maps` (B, K, h, w).
Resizing and normalization are inside. What it says of itself (names of the classes,
threshold, size of the views) is in it, too; STEM_recipe.py beside it turns maps into
boxes with NumPy and OpenCV. What was written is run and compared with the model.

`bas-mm localize --model model.onnx` and `bas-mm webapp` take ONNX files.
"""

import argparse
from pathlib import Path

from bas_mm.apis.deploy import FORMATS, export_model
from bas_mm.apis.model import build_model, class_names, find_model, require_classes
from bas_mm.utils.files import check_output
from bas_mm.utils.options import threshold


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('checkpoint', help='checkpoint file, with its config in it')
    parser.add_argument('--config', help='its config, if the checkpoint has none')
    parser.add_argument(
        '--format',
        choices=list(FORMATS),
        default='onnx',
        help='what is written (default: onnx)',
    )
    parser.add_argument(
        '--out',
        metavar='FILE',
        help='file to write (default: the name of the checkpoint, in this folder)',
    )
    parser.add_argument(
        '--maps',
        choices=['best', 'all'],
        default='best',
        help='maps of the best classes, as many as --topk, or of all (default: best)',
    )
    parser.add_argument(
        '--topk',
        type=int,
        help='mean of the maps of so many classes (default: that of the config)',
    )
    parser.add_argument(
        '--threshold',
        type=threshold,
        help="where the map is cut: 0 to 1, or 'otsu' (default: that of the config)",
    )


def run(args: argparse.Namespace) -> None:
    """Export and compare."""
    end = FORMATS[args.format].end
    out = args.out or f'{Path(args.checkpoint).stem}{end}'
    if not out.endswith(end):
        raise ValueError(f'--format {args.format} needs an --out that ends in {end}.')
    check_output(out, '--out')
    cfg, checkpoint, name = find_model(args.config or args.checkpoint, args.checkpoint)
    model = build_model(cfg, checkpoint, name).eval()
    require_classes(args.topk, model.num_classes)
    classes = class_names(cfg, checkpoint, model.num_classes)
    options = model.head.test_options().replace(
        topk=args.topk, threshold=args.threshold
    )
    model.head.topk, model.head.threshold = options.topk, options.threshold
    worst, beside = export_model(
        cfg, model, classes, out, args.format, args.maps == 'all'
    )
    size = Path(out).stat().st_size / 2**20
    differences = ', '.join(f'{key} {value:.1e}' for key, value in worst.items())
    print(f'{out} ({size:.1f} MiB), its boxes: {beside}')
    print(f'Largest differences to the model itself: {differences}')
