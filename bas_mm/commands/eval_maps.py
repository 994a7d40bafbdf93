"""Evaluate saved maps of any origin, without a model.

MAPS is a folder of one `.npy` an image (`a.npy` or `a.jpg.npy`), or one `.npz`
keyed by image name; every map is `(h, w)`, of any range and resolution, and
covers the whole image. BOXES lists the images to evaluate, and their labels and
ground-truth boxes:

- a csv with a header and one box a line; `x0,y0,x1,y1` (max exclusive) are
  empty for an image without a box, the other columns but `image` may be
  missing; a label is the index of the class:

      image,label,width,height,x0,y0,x1,y1
      001.Bird/a.jpg,0,500,333,60,27,385,331

- or a json list of the same:

      [{"image": "001.Bird/a.jpg", "label": 0, "width": 500, "height": 333,
        "boxes": [[60, 27, 385, 331]]}]

  with `labels`, a list, for an image of several classes.

Boxes are in pixels of the image of `width` and `height`; without these, in
pixels of the view. The view is `--size`, or else the image, or else the map. An
image name may be the end of a longer path, with or without extension.

Masks (`--masks`) are PNG files under the image's name. Scores of any classifier
(`--scores`) are an npz, json or csv, see `bas_mm.evaluation.ScoreFile`. The
figures of WSOLAccuracy at the best threshold of the data set have the prefix
`wsol_best`. The WSOL benchmark resizes maps bicubically: compare with its own
tables at `--resize bicubic --size 224 224`.
"""

import argparse
import json
from pathlib import Path

from bas_mm.evaluation.quote import left_out
from bas_mm.evaluation.saved_maps import evaluate_maps, read_samples
from bas_mm.evaluation.wsol_metric import RECIPE_THRESHOLD
from bas_mm.localization import check_threshold
from bas_mm.utils.files import check_output, without_nan, write_atomic
from bas_mm.utils.options import threshold
from bas_mm.utils.tables import metrics_table, quote_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('maps', help='folder of .npy files, or an .npz')
    parser.add_argument('boxes', help='csv or json of images')
    parser.add_argument(
        '--size', type=int, nargs=2, metavar=('H', 'W'), help='the view'
    )
    parser.add_argument(
        '--threshold',
        type=threshold,
        help="on the map, for the figures of one box an image: 0 to 1, 'otsu' or "
        "'auto' (default: that of the run.json beside BOXES, of a dump; else "
        f'{RECIPE_THRESHOLD})',
    )
    parser.add_argument(
        '--step',
        type=float,
        default=0.01,
        help='between the thresholds of MaxBoxAcc (default: 0.01)',
    )
    parser.add_argument(
        '--pxap-step',
        type=float,
        default=0.001,
        help='between the thresholds of PxAP (default: 0.001)',
    )
    parser.add_argument(
        '--resize',
        choices=['bilinear', 'bicubic'],
        default='bilinear',
        help='how MaxBoxAcc and PxAP resize maps (default: bilinear)',
    )
    parser.add_argument('--scores', help='scores of a classifier')
    parser.add_argument('--masks', help='folder of PNG masks')
    parser.add_argument(
        '--foreground',
        type=int,
        default=1,
        help='value of the object in masks; 255 is ignored otherwise (default: 1)',
    )
    parser.add_argument('--json', help='file for the figures')
    parser.add_argument(
        '--all',
        action='store_true',
        help='print all figures, not only those to quote',
    )


def run(args: argparse.Namespace) -> None:
    """Print the figures, and write them."""
    if args.json:
        check_output(args.json, '--json')
    cut, source = choose_threshold(args.threshold, args.boxes)
    check_threshold(cut, option='--threshold')
    samples = read_samples(
        args.maps, args.boxes, args.size, args.masks, args.foreground
    )
    try:
        results = evaluate_maps(
            samples,
            cut,
            args.step,
            args.pxap_step,
            args.resize,
            args.scores,
            masks=args.masks is not None,
        )
    except KeyError as error:  # an image without a map or without scores
        raise ValueError(error.args[0]) from error
    print(metrics_table(results) if args.all else quote_table(results))
    print(f'Boxes of one threshold: maps cut at {cut} ({source})')
    if note := left_out(results):
        print(note)
    if args.json:
        text = json.dumps(without_nan(results), indent=2)
        write_atomic(args.json, f'{text}\n'.encode())
    if not args.all:
        print(f'{len(results)} figures in all: --all prints, --json FILE writes them')


def choose_threshold(given: float | str | None, boxes: str) -> tuple[float | str, str]:
    """Choose where maps are cut, and say why there.

    Args:
        given: ``--threshold``.
        boxes: The file of the images; beside that of a dump lies what was used.
    """
    if given is not None:
        return given, '--threshold'
    file = Path(boxes).with_name('run.json')
    if Path(boxes).name == 'samples.json' and file.is_file():
        info = json.loads(file.read_text(encoding='utf-8'))
        used = info.get('threshold')
        if 'percentile' in info:
            return RECIPE_THRESHOLD, f'the default; {file} has a share of a percentile'
        if isinstance(used, (int, float, str)):
            return used, f'as {file} says; --threshold takes another'
    return RECIPE_THRESHOLD, 'the default; --threshold takes another'
