"""Say what is in images and where: boxes as a file, and drawings.

Without --model the classes are the 1,000 of ImageNet.

DIR gets a drawing of each image and, by --format,

  coco          results.json, a data set: images, annotations, categories
  coco-results  results.json, a list of detections
  csv           results.csv, a row for each box
  voc           voc/, a Pascal-VOC XML file for each image
  yolo          yolo/, a data set with a text file for each image
"""

import argparse
import contextlib
import os.path as osp
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bas_mm.apis.exports import FORMATS, Export, Found
from bas_mm.apis.images import NamedImage, list_images
from bas_mm.apis.inferencer import Result, WSOLInferencer
from bas_mm.apis.journal import Journal, stamp
from bas_mm.utils.options import add_inference_arguments, add_model_arguments
from bas_mm.utils.texts import plural

FILES = {
    'coco': 'results.json',
    'coco-results': 'results.json',
    'csv': 'results.csv',
    'voc': 'voc',
    'yolo': 'yolo',
}
#: Up to so many images, each gets a line on the terminal.
FEW = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        'inputs', nargs='+', metavar='IMG_OR_DIR', help='images or folders'
    )
    add_model_arguments(parser)
    parser.add_argument(
        '--out-dir',
        default='localized',
        metavar='DIR',
        help='folder for boxes and drawings (default: localized)',
    )
    parser.add_argument(
        '--format',
        choices=list(FORMATS),
        default='coco',
        help='what the boxes are written as (default: coco)',
    )
    parser.add_argument('--no-pictures', action='store_true', help='draw nothing')
    parser.add_argument(
        '--classes',
        nargs='+',
        metavar='NAME',
        help='ask where these classes are (names or indices)',
    )
    add_inference_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Localize; what was found before an error or a kill is not lost."""
    path = osp.join(args.out_dir, FILES[args.format])
    FORMATS[args.format].check_path(path, '--out-dir')
    images = unique(list_images(args.inputs, args.out_dir, not args.no_pictures))
    inferencer = WSOLInferencer(
        args.model, args.weights, args.device, view=args.view, fast=args.fast
    )
    options = inferencer.test_options.replace(threshold=args.threshold, topk=args.topk)
    info = dict(
        model=args.model or 'default',
        weights=args.weights,
        view=args.view,
        threshold=options.threshold,
        topk=1 if args.classes else options.topk,
        classes=args.classes,
        multi=args.multi,
        min_score=args.min_score,
    )
    export = FORMATS[args.format](path, inferencer.classes, info)
    export.check_rest((name for name, _ in images), '--out-dir')
    stems = {osp.splitext(name)[0].lower() for name, _ in images}
    clear = args.no_pictures or len(stems) == len(images)  # names of the drawings
    asked = dict(info, pictures=not args.no_pictures, fast=args.fast)
    journal = open_journal(export, asked, images if clear else [])
    todo = [item for item in images if (item[0], str(item[1])) not in journal.done]
    results: Iterable[Result] = (
        ()
        if not todo
        else inferencer.stream(
            todo,
            batch_size=args.batch_size,
            threshold=args.threshold,
            topk=args.topk,
            classes=args.classes,
            multi=args.multi,
            show_dir=None if args.no_pictures else args.out_dir,
            on_error=args.on_error,
            min_score=args.min_score,
        )
    )
    with finishing(journal, inferencer):
        for result in results:
            drawing = result.get('vis_path')
            journal.add(
                result['name'],
                result['ori_shape'],
                list_found(result),
                source=result['img_path'],
                path=result['img_path'],
                picture=drawing and osp.relpath(drawing, args.out_dir),
            )
            if len(images) <= FEW:
                print('\n'.join(describe(result, inferencer.classes)), flush=True)


def unique(images: Sequence[NamedImage]) -> list[NamedImage]:
    """Leave out files that are named twice, and say so."""
    files: dict[str, NamedImage] = {}
    for image in images:
        files.setdefault(osp.abspath(str(image[1])), image)
    kept = list(files.values())
    if len(kept) < len(images):
        print(f'{plural(len(images) - len(kept), "image")} given twice, taken once')
    return kept


def open_journal(
    export: Export, asked: Mapping[str, Any], images: Iterable[tuple[str, Any]]
) -> Journal:
    """Take what a run that was killed found, and say so.

    Args:
        export: What is written.
        asked: What the result depends on.
        images: Name and file of the images.
    """
    weights = asked.get('weights') or asked.get('checkpoint') or asked.get('model')
    journal = Journal(export, dict(asked, stamp=stamp(weights)), images)
    if journal.done:
        count = plural(len(journal.done), 'image')
        print(f'Going on after {count} of {journal.path}', flush=True)
    return journal


@contextlib.contextmanager
def finishing(
    journal: Journal, inferencer: WSOLInferencer, objects: bool = False
) -> Iterator[None]:
    """Write what was found in the end, also when an error ends it, and say so.

    Where nothing was found, an earlier result stays.

    Args:
        journal: What is written, and until then.
        inferencer: What finds it.
        objects: Whether to say how many objects there are.

    Raises:
        ValueError: If an image cannot be read; names the option that leaves it
            out.
        FileNotFoundError: If it is not there; likewise.
    """
    complete, export = False, journal.export
    try:
        yield
        complete = True
    except (ValueError, OSError) as error:
        if error is not inferencer.unreadable:
            raise
        gone = isinstance(error, FileNotFoundError)
        reason = str(error).rstrip('.')
        raise (FileNotFoundError if gone else ValueError)(
            f'{reason}; --on-error skip leaves out what cannot be read.'
        ) from error
    finally:
        if export.num_images or inferencer.skipped:
            export.finish(inferencer.skipped, complete)
            counts = [plural(export.num_images, 'image')]
            if objects:
                counts.append(plural(export.num_objects, 'object'))
            counts.append(f'{len(export.skipped)} left out')
            print(f'{", ".join(counts)}: {export.path}', flush=True)
        journal.close()


def list_found(result: Result) -> list[Found]:
    """List class, score and box of the objects in an image, if any."""
    asked: list[dict[str, Any]] = result.get('asked') or [
        dict(result, label=result['pred_label'], score=result['pred_score'])
    ]
    return [
        (one['label'], one['score'], box)
        for one in asked
        if one.get('has_object', True)
        for box in one.get('bboxes', [one['bbox']])
    ]


def describe(result: Result, classes: Sequence[str]) -> list[str]:
    """Say what is in an image and where, a line for each object."""
    lines = []
    for label, score, box in list_found(result):
        x0, y0, x1, y1 = (round(float(value)) for value in box)
        lines.append(
            f'{result["name"]}: {classes[label]} ({score:.2f}) '
            f'at x {x0} to {x1}, y {y0} to {y1}'
        )
    return lines or [f'{result["name"]}: no object (--min-score)']
