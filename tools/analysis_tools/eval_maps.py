"""Evaluate saved maps of any origin, without a model.

    python tools/analysis_tools/eval_maps.py MAPS BOXES --size 224 224

MAPS is a folder of one ``.npy`` an image, or one ``.npz`` keyed by image
name; every map is ``(h, w)``, of any range and resolution, and covers the
whole image. BOXES lists the images to evaluate, and their labels and
ground-truth boxes:

- a csv with a header and one box a line; ``x0,y0,x1,y1`` (max exclusive) are
  empty for an image without a box, the other columns but ``image`` may be
  missing; a label is the index of the class::

      image,label,width,height,x0,y0,x1,y1
      001.Bird/a.jpg,0,500,333,60,27,385,331

- or a json list of the same::

      [{"image": "001.Bird/a.jpg", "label": 0, "width": 500, "height": 333,
        "boxes": [[60, 27, 385, 331]]}]

  with ``labels``, a list, for an image of several classes.

Boxes are in pixels of the image of ``width`` and ``height``; without these,
in pixels of the view. The view is ``--size``, or else the image, or else the
map. An image name may be the end of a longer path, with or without extension.

Masks (``--masks``) are PNG files under the image's name. Scores of any
classifier (``--scores``) are an npz, json or csv, see
``bas_mm.evaluation.ScoreFile``. The figures of ``WSOLAccuracy`` at the best
threshold of the data set have the prefix ``wsol_best``.
"""

import argparse
import csv
import json
import math
from collections.abc import Iterable
from pathlib import Path

import bas_mm.evaluation as ev
import cv2
import numpy as np
from bas_mm.evaluation.scores import ImageTable


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('maps', help='folder of .npy files, or an .npz')
    parser.add_argument('boxes', help='csv or json of images')
    parser.add_argument(
        '--size', type=int, nargs=2, metavar=('H', 'W'), help='the view'
    )
    parser.add_argument(
        '--threshold',
        type=float,
        default=0.15,
        help='on the map, for the figures of one box an image',
    )
    parser.add_argument(
        '--step', type=float, default=0.01, help='MaxBoxAcc: of thresholds'
    )
    parser.add_argument(
        '--pxap-step', type=float, default=0.001, help='PxAP: of thresholds'
    )
    parser.add_argument('--scores', help='scores of a classifier')
    parser.add_argument('--masks', help='folder of PNG masks')
    parser.add_argument(
        '--foreground',
        type=int,
        default=1,
        help='value of the object in masks; 255 is ignored otherwise',
    )
    parser.add_argument('--json', help='file for the figures')
    return parser.parse_args()


def read_maps(path: str) -> tuple[ImageTable, np.lib.npyio.NpzFile | None]:
    """Find the maps: a table of files, or of names in an npz."""
    table = ImageTable(f'maps={path!r}')
    root = Path(path)
    if root.is_dir():
        for file in sorted(root.rglob('*.npy')):
            table.add(str(file.relative_to(root)), file)
        return table, None
    if not root.is_file() or root.suffix != '.npz':
        raise FileNotFoundError(
            f'maps={path!r} is neither a folder of .npy files nor an .npz file.'
        )
    archive = np.load(root, allow_pickle=False)
    for name in archive.files:
        table.add(name, name)
    return table, archive


def read_boxes(path: str) -> list[dict]:
    """Read the images, in order: image, label, width, height, boxes.

    Raises:
        ValueError: If the file is no list of images.
    """
    if Path(path).suffix == '.json':
        images = json.loads(Path(path).read_text(encoding='utf-8'))
        if not isinstance(images, list) or not all(
            isinstance(x, dict) and 'image' in x for x in images
        ):
            raise ValueError(f'boxes={path!r} must be a list of objects with "image".')
        return images
    images = {}
    with open(path, newline='', encoding='utf-8-sig') as file:
        reader = csv.DictReader(file)
        if 'image' not in (reader.fieldnames or ()):
            raise ValueError(
                f'boxes={path!r} needs a header with the column "image", not '
                f'{reader.fieldnames}.'
            )
        for row in reader:
            image = images.setdefault(row['image'], dict(image=row['image'], boxes=[]))
            for key in ('label', 'width', 'height'):
                try:
                    if row.get(key):
                        image[key] = int(float(row[key]))
                except ValueError:
                    raise ValueError(
                        f'boxes={path!r}, line {reader.line_num}: the {key} '
                        f'{row[key]!r} is no whole number.'
                    ) from None
            box = [row.get(key) for key in ('x0', 'y0', 'x1', 'y1')]
            if all(box):
                image['boxes'].append([float(x) for x in box])
            elif any(box):
                raise ValueError(
                    f'boxes={path!r}, line {reader.line_num}: the box {box} '
                    'is not complete.'
                )
    return list(images.values())


def read_labels(images: list[dict], path: str) -> list[list[int] | None]:
    """Give the labels of the images, of all of them or of none.

    Raises:
        ValueError: If some have labels and others none, or a label is no
            class index.
    """
    labels = []
    for image in images:
        label = image.get('labels', image.get('label'))
        label = label if isinstance(label, list) or label is None else [label]
        if label and not all(isinstance(x, int) and x >= 0 for x in label):
            raise ValueError(
                f'boxes={path!r}: the label {label} of {image["image"]!r} is '
                'no class index, a whole number from 0 on.'
            )
        labels.append(label or None)
    if None in labels and any(labels):
        raise ValueError(
            f'boxes={path!r}: {images[labels.index(None)]["image"]!r} has no '
            'label, others have one: give labels for all images or for none.'
        )
    return labels


def samples(args: argparse.Namespace) -> Iterable[dict]:
    """Give the data samples, one by one."""
    maps, archive = read_maps(args.maps)
    masks = ImageTable(f'masks={args.masks!r}')
    if args.masks:
        for file in sorted(Path(args.masks).rglob('*.png')):
            masks.add(str(file.relative_to(args.masks)), file)
    images = read_boxes(args.boxes)
    for i, (image, label) in enumerate(zip(images, read_labels(images, args.boxes))):
        name = image['image']
        found = maps[name]
        pred_map = archive[found] if archive else np.load(found, allow_pickle=False)
        frame = (image.get('height'), image.get('width'))
        frame = None if None in frame else frame
        view = tuple(args.size or frame or pred_map.shape)
        sample = dict(
            img_path=name,
            sample_idx=i,
            img_shape=view,
            pred_map=pred_map,
            gt_label=label,
        )
        boxes = np.array(image.get('boxes') or (), np.float64).reshape(-1, 4)
        if len(boxes):
            if frame:
                # In this order: a box that fills the image fills the view.
                boxes = boxes * np.tile(view[::-1], 2) / np.tile(frame[::-1], 2)
            sample['gt_bboxes'] = boxes
        file = masks.get(name)
        if file is not None:
            mask = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
            if mask is None or mask.ndim != 2:
                raise ValueError(f'{file} is no PNG of one channel.')
            sample['gt_seg_map'] = np.where(
                mask == args.foreground, 1, np.where(mask == 255, 255, 0)
            )
        yield sample


def evaluate(args: argparse.Namespace) -> dict[str, float]:
    """Run the suite."""
    box = dict(threshold=args.threshold)
    metrics = [
        ev.WSOLAccuracy(**box, scores=args.scores),
        ev.WSOLAccuracy('best', scores=args.scores, prefix='wsol_best'),
        ev.MaxBoxAcc(args.step),
        ev.LocErrors(**box, scores=args.scores),
        ev.LocBreakdown(**box),
    ]
    if args.masks:
        metrics += [ev.PxAP(args.pxap_step), ev.PeakIoU()]
    size = 0
    for sample in samples(args):
        for metric in metrics:
            metric.process({}, [sample])
        size += 1
    results = {}
    for metric in metrics:
        results.update(metric.evaluate(size))
    return results


def main() -> None:
    """Print the figures, and write them."""
    args = parse_args()
    results = evaluate(args)
    for key, value in results.items():
        print(
            f'{key:45s} {value:8.2f}'
            if isinstance(value, float)
            else f'{key:45s} {value:5d}'
        )
    if args.json:
        Path(args.json).write_text(
            json.dumps(
                {k: None if math.isnan(v) else v for k, v in results.items()}, indent=2
            )
            + '\n',
            encoding='utf-8',
        )


if __name__ == '__main__':
    main()
