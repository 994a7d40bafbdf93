"""Write boxes and masks of a whole data set, to train a detector on.

By --format, --out is

  coco          a file, a data set: images, annotations (boxes and masks),
                categories; as ground truth for pycocotools, or to train on
  coco-results  a file, a list of detections, boxes and masks
  csv           a file, a row for each box
  voc           a folder, a Pascal-VOC XML file for each image
  yolo          a folder, a data set with a text file for each image
"""

import argparse
import os.path as osp
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from mmengine.config import Config

import bas_mm
from bas_mm.apis.exports import FORMATS
from bas_mm.apis.inferencer import Result, WSOLInferencer
from bas_mm.commands.localize import finishing, open_journal
from bas_mm.structures import TestOptions
from bas_mm.utils.configs import build_dataset, first_dataset, read_config
from bas_mm.utils.options import (
    add_config_arguments,
    add_device_argument,
    add_inference_arguments,
    add_split_argument,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('config', help='config file, or its name')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out',
        required=True,
        metavar='PATH',
        help='file to write; a folder for --format voc and yolo',
    )
    parser.add_argument(
        '--format',
        choices=list(FORMATS),
        default='coco',
        help='what is written (default: coco)',
    )
    add_split_argument(parser)
    parser.add_argument(
        '--use-labels',
        choices=['auto', 'never'],
        default='auto',
        help='auto: the labels of the data set name the objects and choose '
        'the map (map_label=gt); never: the model predicts (default: auto)',
    )
    add_device_argument(parser)
    add_inference_arguments(parser)
    add_config_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Export; what was found before an error or a kill is not lost."""
    FORMATS[args.format].check_path(args.out)
    cfg = read_config(args.config, args.data_root, args.cfg_options, args.split)
    inferencer = WSOLInferencer(
        cfg, args.checkpoint, args.device, view=args.view, fast=args.fast
    )
    dataset, infos, data_root, images = list_images(cfg, args.split)
    classes = (dataset.metainfo or {}).get('classes')
    if classes and len(classes) != len(inferencer.classes):
        raise ValueError(
            f'The data set has {len(classes)} classes and the model '
            f'{len(inferencer.classes)}: give the checkpoint that was trained '
            'on it, with its config.'
        )
    labels = [info.get('gt_label') for info in infos]
    use_labels = args.use_labels == 'auto' and None not in labels
    if use_labels and classes:
        check_names(classes, inferencer.classes)
    options = inferencer.test_options.replace(
        threshold=args.threshold,
        topk=args.topk,
        map_label='gt' if use_labels else 'pred',
    )
    source = describe_source(args, options, data_root)
    export = FORMATS[args.format](args.out, inferencer.classes, source)
    export.check_rest(name for name, _ in images)
    asked = dict(source, cfg_options=args.cfg_options, fast=args.fast)
    journal = open_journal(export, asked, images)
    todo = [i for i, image in enumerate(images) if image not in journal.done]
    results: Iterable[Result] = (
        ()
        if not todo
        else inferencer.stream(
            [images[i] for i in todo],
            batch_size=args.batch_size,
            threshold=args.threshold,
            topk=args.topk,
            labels=[labels[i] for i in todo] if use_labels else None,
            multi=args.multi,
            return_mask=True,
            on_error=args.on_error,
            min_score=args.min_score,
        )
    )
    with finishing(journal, inferencer, objects=True):
        for result in results:
            label = result['pred_label']
            if use_labels:
                label = int(labels[todo[result['index']]])
            score = float(result['scores'][label])
            there = result['has_object']
            boxes = result.get('bboxes', [result['bbox']]) if there else []
            journal.add(
                result['name'],
                result['ori_shape'],
                [(label, score, box) for box in boxes],
                masks=result.get('masks', [result['mask']]) if there else [],
                source=result['img_path'],
            )


def check_names(data: Sequence[str], model: Sequence[str]) -> None:
    """Check that labels of the data mean the classes of the model.

    Args:
        data: Names of the classes of the data set.
        model: As many names of the model's; numbers mean nothing.

    Raises:
        ValueError: If they differ; names the first difference.
    """
    if list(model) == [str(i) for i in range(len(model))]:
        return
    for i, (ours, theirs) in enumerate(zip(data, model)):
        if str(ours) != theirs:
            raise ValueError(
                f'Class {i} is {str(ours)!r} in the data set and {theirs!r} in the '
                'model: give the checkpoint that was trained on this data, or '
                '--use-labels never to let the model name the objects.'
            )


class Listing(NamedTuple):
    """The images of a data set.

    Attributes:
        dataset: It, without its pipeline.
        infos: What it knows of each image.
        data_root: The folder below which it names them.
        images: Name and path of each.
    """

    dataset: Any
    infos: list[Any]
    data_root: str | None
    images: list[tuple[str, str]]


def list_images(cfg: Config, split: str) -> Listing:
    """List the images of a split of a config."""
    dataset = build_dataset(cfg, split, pipeline=[])
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    leaf = first_dataset(cfg.get(f'{split}_dataloader'))
    root = getattr(dataset, 'data_root', None) or leaf.get('data_root')
    paths = [str(info['img_path']) for info in infos]
    return Listing(dataset, infos, root, [(name_image(x, root), x) for x in paths])


def name_image(path: str, data_root: str | None) -> str:
    """Name an image by its path below the root of the data set."""
    return osp.relpath(path, data_root or osp.curdir).replace(osp.sep, '/')


def describe_source(
    args: argparse.Namespace, options: TestOptions, data_root: str | None
) -> dict[str, Any]:
    """Say where the boxes come from."""
    return dict(
        description='pseudo labels of a weakly supervised localizer',
        config=args.config,
        checkpoint=args.checkpoint,
        data_root=data_root,
        split=args.split,
        view=args.view,
        threshold=options.threshold,
        topk=options.topk,
        map_label=options.map_label,
        multi=args.multi,
        min_score=args.min_score,
        bas_mm=bas_mm.__version__,
    )
