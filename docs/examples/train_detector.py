"""From boxes that nobody drew to a detector: torchvision's FCOS, measured.

    python docs/examples/train_detector.py CONFIG CHECKPOINT --boxes boxes.json

CONFIG and CHECKPOINT are those of a localizer (`bas-mm train`), and boxes.json
is what `bas-mm export CONFIG CHECKPOINT --out boxes.json` wrote for its training
images. The detector starts from the localizer's trunk, learns from these boxes
alone, and is measured on the test images, which need true boxes, beside a box in
the center of each image and the localizer's own. `--boxes true` learns from the
true boxes of the training images, where the data set has them.
"""

import argparse
import contextlib
import io
import json
from collections import OrderedDict

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOSHead
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import box_iou

from bas_mm.apis import WSOLInferencer, load_image
from bas_mm.commands.export import name_image
from bas_mm.localization import center_box
from bas_mm.utils.configs import build_dataset, read_config
from bas_mm.utils.options import add_config_arguments, add_device_argument
from bas_mm.utils.tables import render_table

SIDE = 224  # of what the detector sees, pixels; that of the localizer's view


class Trunk(nn.Module):
    """The localizer's trunk, kept as it is, and a 1x1 convolution that learns."""

    def __init__(self, backbone, out_channels=128):
        super().__init__()
        self.backbone = backbone.requires_grad_(False)
        with torch.no_grad():
            channels = backbone(torch.zeros(1, 3, SIDE, SIDE))[-1].shape[1]
        self.reduce = nn.Sequential(
            nn.Conv2d(channels, out_channels, 1),
            nn.GroupNorm(32, out_channels),
            nn.ReLU(),
        )
        self.out_channels = out_channels

    def forward(self, views):  # (B, 3, H, W)
        feat = self.backbone(views)[-1]  # (B, C, h, w)
        return OrderedDict([('0', self.reduce(feat))])


def build_detector(localizer, num_classes):
    """FCOS on one feature map: every place may hold a box of any size."""
    pixels = localizer.data_preprocessor
    mean, std = (getattr(pixels, k).flatten() / 255 for k in ('mean', 'std'))
    trunk = Trunk(localizer.backbone)
    head = FCOSHead(trunk.out_channels, 1, num_classes, num_convs=2)
    # distances pass a ReLU: at 0 some runs would never leave it
    nn.init.ones_(head.regression_head.bbox_reg.bias)
    return FCOS(
        trunk,
        num_classes,
        head=head,
        # 64 pixels are the unit of the distances from a place to the sides
        anchor_generator=AnchorGenerator(((64,),), ((1.0,),)),
        fixed_size=(SIDE, SIDE),
        image_mean=mean.tolist(),
        image_std=std.tolist(),
        score_thresh=0.01,
        detections_per_img=20,
    )


def read_image(path, device):
    """An image as torchvision wants it: RGB, 0 to 1, (3, h, w)."""
    image = load_image(path)[..., ::-1]
    return torch.from_numpy(image.copy()).permute(2, 0, 1).float().to(device) / 255


def read_split(cfg, split):
    """The images of a split: name, path, label and true boxes (xyxy) of each."""
    dataset = build_dataset(cfg, split, pipeline=[])
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    return [
        dict(
            name=name_image(info['img_path'], dataset.data_root),
            path=info['img_path'],
            label=int(info['gt_label']),
            boxes=np.reshape(info.get('gt_bboxes', ()), (-1, 4)),
        )
        for info in infos
    ]


def read_boxes(source, images):
    """Boxes (n, 4) xyxy and labels (n,) of each image that has any."""
    if source == 'true':
        found = [
            (x['path'], x['boxes'], [x['label']] * len(x['boxes'])) for x in images
        ]
    else:
        coco, paths = COCO(source), {x['name']: x['path'] for x in images}
        found = []
        for key, image in coco.imgs.items():
            rows = coco.imgToAnns[key]
            boxes = np.reshape([x['bbox'] for x in rows], (-1, 4))  # x y w h
            boxes[:, 2:] += boxes[:, :2]
            labels = [x['category_id'] - 1 for x in rows]
            found.append((paths[image['file_name']], boxes, labels))
    found = [row for row in found if len(row[1])]
    if not found:
        raise SystemExit(f'--boxes {source}: the training images have no boxes there.')
    return found


@torch.no_grad()
def look(detector, rows, device):
    """What the trunk sees of each image and of its mirror image, once and for all.

    Gives features (n, 2, C, h, w), float16, about 1 MB an image, and targets: for
    each image two dicts of boxes, in pixels of the view, and labels.
    """
    detector.eval()
    feats, targets = [], []
    for path, boxes, labels in rows:
        boxes = torch.tensor(boxes, dtype=torch.float32, device=device)
        target = dict(boxes=boxes, labels=torch.tensor(labels, device=device))
        view, (target,) = detector.transform([read_image(path, device)], [target])
        views = torch.cat([view.tensors, view.tensors.flip(3)])  # (2, 3, H, W)
        feats.append(detector.backbone.backbone(views)[-1].half())
        mirrored = target['boxes'].clone()
        mirrored[:, [0, 2]] = SIDE - mirrored[:, [2, 0]]
        targets.append((target, dict(target, boxes=mirrored)))
    return torch.stack(feats), targets


def train(detector, rows, epochs, batch_size, seed, device):
    """Train what follows the trunk: AdamW, one cycle of the rate."""
    feats, targets = look(detector, rows, device)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    learning = [p for p in detector.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learning, weight_decay=1e-4)
    steps = epochs * -(-len(rows) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, steps)
    for epoch in range(epochs):
        order, losses = rng.permutation(len(rows)), []
        for start in range(0, len(rows), batch_size):
            chosen = order[start : start + batch_size]
            side = rng.integers(0, 2, len(chosen))  # the image, or its mirror image
            feat = detector.backbone.reduce(feats[chosen, side].float())
            views = ImageList(
                feat.new_zeros(len(chosen), 3, SIDE, SIDE),
                [(SIDE, SIDE)] * len(chosen),
            )
            anchors = detector.anchor_generator(views, [feat])
            loss = detector.compute_loss(
                [targets[i][j] for i, j in zip(chosen, side)],
                detector.head([feat]),
                anchors,
                [len(anchors[0])],
            )
            loss = sum(loss.values())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(learning, 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.detach())
        print(f'epoch {epoch + 1}/{epochs}  loss {torch.stack(losses).mean():.3f}')


@torch.inference_mode()
def detect(detector, images, device):
    """Boxes (n, 4), labels (n,) and scores (n,) of each image, best first."""
    detector.eval()
    for image in images:
        found = detector([read_image(image['path'], device)])[0]
        yield tuple(found[k].cpu().numpy() for k in ('boxes', 'labels', 'scores'))


def localize(inferencer, images):
    """The localizer's box, and that in the center, for the class it says.

    Both again for the true class, as `GT-known Loc` asks for.
    """
    rows = dict(center=[], localizer=[])
    known = dict(center=[], localizer=[])
    pairs = [(x['name'], x['path']) for x in images]
    labels = [x['label'] for x in images]
    for says, asked in ((rows, None), (known, labels)):
        for i, result in enumerate(inferencer.stream(pairs, labels=asked)):
            label = result['pred_label'] if asked is None else labels[i]
            boxes = dict(
                center=center_box(result['ori_shape']), localizer=result['bbox']
            )
            for name, box in boxes.items():
                score = result['scores'][label]
                says[name].append((np.reshape(box, (1, 4)), [label], [score]))
    return rows, known


def right(box, image):
    """Whether a box is right: IoU of 0.5 with a true box."""
    boxes = [
        torch.as_tensor(np.reshape(x, (-1, 4))).float() for x in (box, image['boxes'])
    ]
    return bool(box_iou(*boxes).max() >= 0.5)


def top_share(found, images, same_class):
    """Percent of the images whose best box is right.

    Of the boxes of the image's class (same_class), or of all boxes, the class
    of the best being right as well.
    """
    hits = 0
    for (boxes, labels, scores), image in zip(found, images):
        known = np.asarray(labels) == image['label']
        rank = np.where(known, scores, -1) if same_class else np.asarray(scores)
        if known.any():
            best = rank.argmax()
            hits += bool(known[best]) and right(boxes[best], image)
    return 100 * hits / len(images)


def coco_ap50(found, images):
    """AP at IoU 0.5, mean over the classes (pycocotools), percent."""
    truth, results, categories = [], [], sorted({x['label'] for x in images})
    for i, (image, (boxes, labels, scores)) in enumerate(zip(images, found), 1):
        for x0, y0, x1, y1 in image['boxes'].tolist():
            box = [x0, y0, x1 - x0, y1 - y0]
            row = dict(id=len(truth) + 1, image_id=i, category_id=image['label'])
            truth.append(dict(row, bbox=box, area=box[2] * box[3], iscrowd=0))
        for (x0, y0, x1, y1), label, score in zip(
            np.asarray(boxes).tolist(), labels, scores
        ):
            box = [x0, y0, x1 - x0, y1 - y0]
            row = dict(image_id=i, category_id=int(label), score=float(score))
            results.append(dict(row, bbox=box))
    coco = COCO()
    coco.dataset = dict(
        images=[dict(id=i) for i in range(1, len(images) + 1)],
        annotations=truth,
        categories=[dict(id=i) for i in categories],
    )
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return 100 * float(evaluation.stats[1])


def measure(found, known, images):
    """The three figures of a row, percent; `known` is for the true class."""
    return (
        coco_ap50(found, images),
        top_share(known, images, True),
        top_share(found, images, False),
    )


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config of the localizer')
    parser.add_argument('checkpoint', help='its checkpoint')
    parser.add_argument(
        '--boxes',
        nargs='+',
        required=True,
        metavar='FILE|true',
        help='boxes to learn from, a detector each: of `bas-mm export`, or `true`',
    )
    parser.add_argument('--epochs', type=int, default=12)
    parser.add_argument('--batch-size', type=int, default=8)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--save', help='file for the weights of the last detector')
    parser.add_argument('--out', help='json file for the figures')
    add_config_arguments(parser)
    add_device_argument(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    cfg = read_config(args.config, args.data_root, args.cfg_options)
    inferencer = WSOLInferencer(cfg, args.checkpoint, args.device)
    device, rows = inferencer.device, {}
    train_images, images = read_split(cfg, 'train'), read_split(cfg, 'test')
    images = [x for x in images if len(x['boxes'])]
    print(f'{len(images)} test images have true boxes')
    if images:
        says, known = localize(inferencer, images)
        rows = {name: measure(says[name], known[name], images) for name in says}
    paths = {x['path']: x for x in train_images}
    for source in args.boxes:
        learn = read_boxes(source, train_images)
        pairs = [(row, paths[row[0]]) for row in learn if len(paths[row[0]]['boxes'])]
        if pairs and source != 'true':
            good = np.mean([right(row[1][:1], image) for row, image in pairs])
            print(f'{source}: {100 * good:.1f} % of {len(pairs)} boxes are right')
        torch.manual_seed(args.seed)
        detector = build_detector(inferencer.model, len(inferencer.classes)).to(device)
        train(detector, learn, args.epochs, args.batch_size, args.seed, device)
        if images:
            found = list(detect(detector, images, device))
            rows[f'FCOS on {source}'] = measure(found, found, images)
    if args.save:
        torch.save(detector.state_dict(), args.save)
    header = ['', 'AP50', "best box of the image's class", 'best box and class']
    table = [[name, *(f'{x:.1f}' for x in row)] for name, row in rows.items()]
    if rows:
        print(render_table(header, table))
    if args.out:
        with open(args.out, 'w', encoding='utf-8') as file:
            json.dump(rows, file, indent=1)


if __name__ == '__main__':
    main()
