"""What a class map makes of several objects in one image.

    python docs/examples/several_objects.py CONFIG [CHECKPOINT]

reads the test images of CONFIG that have true boxes, cuts the map of each image's
class, and counts how many objects get a box of their own: for all parts above the
threshold (`--multi` of `bas-mm localize`) and for the largest alone. Beside them
stand what needs no model: the whole image, and the parts of the true boxes joined,
which is the most that any cut of one map can tell apart where objects touch.
Without CHECKPOINT the ImageNet classifier of the package localizes. `--pairs` puts
two test images of one class side by side, so that each holds two objects apart.
"""

import argparse
from itertools import groupby

import mmcv
import numpy as np

from bas_mm.apis import WSOLInferencer, load_image
from bas_mm.localization import box_iou, mask_to_bboxes, whole_box
from bas_mm.utils.configs import build_dataset, read_config
from bas_mm.utils.options import add_config_arguments, add_device_argument
from bas_mm.utils.tables import render_table


def read_images(dataset):
    """Pictures, labels and true boxes (n, 4), xyxy, one image after another."""
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        boxes = np.reshape(info.get("gt_bboxes", ()), (-1, 4))
        if len(boxes):
            yield load_image(info['img_path']), int(info['gt_label']), boxes


def side_by_side(images):
    """Join each two images of a class that follow each other, at equal heights."""
    for label, group in groupby(images, key=lambda image: image[1]):
        group = list(group)
        for (left, _, one), (right, _, other) in zip(group[::2], group[1::2]):
            height = max(len(left), len(right))
            halves, boxes, start = [], [], 0
            for picture, found in ((left, one), (right, other)):
                scale = height / len(picture)
                width = round(picture.shape[1] * scale)
                halves.append(mmcv.imresize(picture, (width, height)))
                factor = np.array([width / picture.shape[1], scale] * 2)
                boxes.append(found * factor + np.array([start, 0, start, 0]))
                start += width
            yield np.hstack(halves), label, np.concatenate(boxes)


def joined(boxes, shape):
    """Boxes (n, 4) of the connected parts of what the true boxes cover."""
    mask = np.zeros(shape, bool)
    for x0, y0, x1, y1 in np.round(boxes).astype(int):
        mask[y0:y1, x0:x1] = True
    return mask_to_bboxes(mask)[0]


def match(boxes, gt_bboxes):
    """Count the pairs of a box and an object with IoU above 0.5, each used once."""
    iou = np.array(box_iou(boxes, gt_bboxes, offset=0))
    pairs = 0
    while iou.size and iou.max() > 0.5:
        row, column = np.unravel_index(iou.argmax(), iou.shape)
        iou[row], iou[:, column] = 0, 0
        pairs += 1
    return pairs


def measure(inferencer, images):
    """Boxes, objects and pairs of them of each way: (images, 3) each."""
    counts = {}
    for picture, label, gt_bboxes in images:
        labels = None if label >= len(inferencer.classes) else [label]
        (result,) = inferencer.stream([picture], labels=labels, multi=True)
        shape = picture.shape[:2]
        ways = {
            'all parts': result['bboxes'],
            'largest part': result['bboxes'][:1],
            'whole image': whole_box(shape)[None],
            'true boxes, joined': joined(gt_bboxes, shape),
        }
        for name, boxes in ways.items():
            row = (len(boxes), len(gt_bboxes), match(boxes, gt_bboxes))
            counts.setdefault(name, []).append(row)
    return {name: np.array(rows) for name, rows in counts.items()}


def table(counts, chosen):
    """Lay out what was counted on some of the images."""
    rows = []
    for name, found in counts.items():
        boxes, objects, pairs = found[chosen].sum(0)
        rows.append(
            [
                name,
                f'{100 * pairs / objects:.1f}',
                f'{100 * pairs / boxes:.1f}',
                f'{boxes / chosen.sum():.1f}',
            ]
        )
    header = ['', 'objects found', 'boxes right', 'boxes an image']
    return render_table(header, rows)


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config of the localizer, or of the data')
    parser.add_argument('checkpoint', nargs='?', help='its checkpoint')
    parser.add_argument('--pairs', action='store_true', help='two images side by side')
    add_config_arguments(parser)
    add_device_argument(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    cfg = read_config(args.config, args.data_root, args.cfg_options)
    model = (cfg, args.checkpoint) if args.checkpoint else (None, None)
    inferencer = WSOLInferencer(*model, args.device, show_progress=False)
    images = read_images(build_dataset(cfg, 'test', pipeline=[]))
    counts = measure(inferencer, side_by_side(images) if args.pairs else images)
    if not counts:
        raise SystemExit(
            f'The test images of {args.config} have no true boxes to count with: give '
            '`test_dataloader.dataset.box_file` or another data set by --data-root.'
        )
    objects = counts['all parts'][:, 1]
    for name, chosen in (('one object', objects == 1), ('several', objects > 1)):
        if chosen.any():
            print(f'{chosen.sum()} images with {name}\n{table(counts, chosen)}')


if __name__ == '__main__':
    main()
