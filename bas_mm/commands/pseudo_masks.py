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
from bas_mm.commands.export import list_images
from bas_mm.localization.pseudo_mask import pseudo_mask
from bas_mm.utils.configs import read_config
from bas_mm.utils.files import check_output, write_atomic
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
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder to write')
    add_split_argument(parser)
    add_batch_size_argument(parser)
    add_device_argument(parser)
    add_config_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Make the masks and write them."""
    check_output(args.out, '--out', folder=True)
    cfg = read_config(args.config, args.data_root, args.cfg_options, args.split)
    inferencer = WSOLInferencer(cfg, args.checkpoint, args.device)
    _, infos, _, images = list_images(cfg, args.split)
    labels = [info['gt_label'] for info in infos]
    for result in inferencer.stream(
        images, args.batch_size, topk=1, labels=labels, on_error='raise'
    ):
        mask = pseudo_mask(result['loc_map'], result['ori_shape'])
        path = Path(args.out) / f'{result["name"].replace("../", "")}.png'
        write_atomic(path, cv2.imencode('.png', mask)[1].tobytes())
    print(f'{plural(len(images), "mask")}: {args.out}', flush=True)
