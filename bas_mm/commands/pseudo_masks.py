"""Write a mask for each image of a data set, to train a segmenter on.

A mask is made of the map of the image's label: 1 where the map, or a Gaussian over
its parts, is high, 0 where it is almost nothing, 255 where a training is to look
away (SPOL). DIR gets a PNG file for each image, under its path and name, and is to
be learned from with --cfg-options pseudo_file=DIR.
"""

import argparse
from pathlib import Path

import cv2

from bas_mm.apis.inferencer import WSOLInferencer
from bas_mm.commands.export import find_root, name_image
from bas_mm.localization.pseudo_mask import pseudo_mask
from bas_mm.utils.configs import build_dataset, read_config
from bas_mm.utils.files import check_output, write_atomic
from bas_mm.utils.options import add_config_arguments, add_device_argument
from bas_mm.utils.texts import plural


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('config', help='config file, or its name')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder to write')
    parser.add_argument(
        '--split',
        choices=['train', 'test'],
        default='train',
        help='which data set of the config (default: train)',
    )
    parser.add_argument(
        '--batch-size',
        type=int,
        default=8,
        help='images that pass the model together (default: 8)',
    )
    add_device_argument(parser)
    add_config_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Make the masks and write them."""
    check_output(args.out, '--out', folder=True)
    cfg = read_config(args.config, args.data_root, args.cfg_options, args.split)
    inferencer = WSOLInferencer(cfg, args.checkpoint, args.device)
    dataset = build_dataset(cfg, args.split, pipeline=[])
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    data_root = find_root(dataset, cfg, args.split)
    images = [(name_image(i['img_path'], data_root), i['img_path']) for i in infos]
    labels = [info['gt_label'] for info in infos]
    for result in inferencer.stream(
        images, args.batch_size, topk=1, labels=labels, on_error='raise'
    ):
        mask = pseudo_mask(result['loc_map'], result['ori_shape'])
        path = Path(args.out) / f'{result["name"].replace("../", "")}.png'
        write_atomic(path, cv2.imencode('.png', mask)[1].tobytes())
    print(f'{plural(len(images), "mask")}: {args.out}', flush=True)
