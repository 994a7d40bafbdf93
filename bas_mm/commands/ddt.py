"""Write a box for each image by what the images of its class share.

Deep descriptor transforming, the first stage of PSOL: nothing is trained. The
trunk of CONFIG with its ImageNet weights sees all images of a class; where its
last features differ from their mean along their first principal component is the
object. --out is a COCO json file as `bas-mm export` writes it, to be learned from
with --cfg-options pseudo_file=FILE.
"""

import argparse

import bas_mm
from bas_mm.apis.ddt import ddt_boxes
from bas_mm.apis.exports import FORMATS
from bas_mm.apis.images import view_size
from bas_mm.apis.model import load_model, pipeline_of
from bas_mm.commands.export import list_images
from bas_mm.utils.configs import read_config
from bas_mm.utils.options import (
    add_batch_size_argument,
    add_config_arguments,
    add_device_argument,
    add_split_argument,
)
from bas_mm.utils.texts import plural


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('config', help='config file, or its name')
    parser.add_argument(
        '--out', required=True, metavar='FILE', help='json file to write'
    )
    parser.add_argument(
        '--checkpoint',
        help='weights of a model of the config (default: those that the config '
        'starts a training with)',
    )
    add_split_argument(parser)
    parser.add_argument(
        '--size',
        type=int,
        help='side that images are resized to, in pixels (default: that of the views '
        'of a test of the config)',
    )
    add_batch_size_argument(parser)
    add_device_argument(parser)
    add_config_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Find the boxes and write them."""
    if args.batch_size < 1 or (args.size is not None and args.size < 1):
        raise ValueError(
            f'--size {args.size} and --batch-size {args.batch_size} must be 1 or more.'
        )
    writer = FORMATS['coco']
    writer.check_path(args.out)
    cfg = read_config(args.config, args.data_root, args.cfg_options, args.split)
    size = args.size or max(view_size(pipeline_of(cfg)))
    model = load_model(cfg, args.checkpoint, args.device)
    dataset, infos, data_root, images = list_images(cfg, args.split)
    classes = dataset.metainfo['classes']
    found = ddt_boxes(getattr(model, 'localizer', model), infos, size, args.batch_size)
    boxes = {one.number: one for one in found}
    source = dict(
        description='pseudo labels by deep descriptor transforming',
        config=args.config,
        checkpoint=args.checkpoint,
        data_root=data_root,
        split=args.split,
        size=size,
        bas_mm=bas_mm.__version__,
    )
    export = writer(args.out, classes, source)
    for index, (info, (name, _)) in enumerate(zip(infos, images)):
        one = boxes[index]
        export.add(name, one.shape, [(int(info['gt_label']), 1.0, one.box.tolist())])
    export.finish()
    print(f'{plural(export.num_images, "image")}: {args.out}', flush=True)
