"""Find the threshold of a checkpoint's maps from training images, without boxes.

Prints what `threshold='auto'` stands for and what the images say of the maps: how
large the boxes are, how the class scores when only the box is seen or only what is
around it, and whether the boxes stay where they are when the view is mirrored or
enlarged. The threshold goes into the checkpoint: `test`, `localize`, `export` and
`webapp` read it there where `model.head.threshold='auto'`, or with
`--threshold auto`.

Training ends with the same where the config has the hook bas_mm.CalibrateHook.
"""

import argparse
import dataclasses
import io
import json
from typing import Any

import torch

from bas_mm.analysis.calibration import advise, calibrate, training_views
from bas_mm.apis.model import build_model, choose_device, load_checkpoint
from bas_mm.models.heads.loc_head import CALIBRATION_KEY
from bas_mm.utils.configs import read_config
from bas_mm.utils.files import check_output, write_atomic
from bas_mm.utils.options import add_config_arguments, add_device_argument
from bas_mm.utils.tables import metrics_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('config', help='config file, or its name')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out', help='checkpoint to write (default: the one that was given)'
    )
    parser.add_argument('--json', help='file for the figures')
    parser.add_argument(
        '--images',
        type=int,
        default=100,
        metavar='N',
        help='training images that are read, at most all (default: 100)',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='of their choice (default: 0)'
    )
    add_device_argument(parser)
    add_config_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Calibrate, print and write."""
    out = args.out or args.checkpoint
    check_output(out, '--out')
    if args.json:
        check_output(args.json, '--json')
    cfg = read_config(args.config, args.data_root, args.cfg_options, 'train')
    checkpoint = load_checkpoint(args.checkpoint)
    model = build_model(cfg, checkpoint, args.checkpoint)
    model = model.to(choose_device(args.device)).eval()
    found = calibrate(model, training_views(cfg, model, args.images, args.seed))
    print(metrics_table(dataclasses.asdict(found)))
    for warning in advise(found):
        print(warning)
    model.head.calibration = found
    write_atomic(out, with_calibration(checkpoint, model))
    if args.json:
        text = json.dumps(dataclasses.asdict(found), indent=2)
        write_atomic(args.json, f'{text}\n'.encode())
    print(f'Written to {out}: threshold auto is {found.threshold:g} there.')


def with_calibration(checkpoint: dict[str, Any], model: Any) -> bytes:
    """Give the content of a checkpoint file that knows the calibration, too.

    Args:
        checkpoint: Of the runner, or a state dict; changed in place.
        model: The calibrated model.
    """
    state = checkpoint.get('state_dict', checkpoint)
    ours = model.state_dict()
    state.update({key: ours[key] for key in ours if key.endswith(CALIBRATION_KEY)})
    file = io.BytesIO()
    torch.save(checkpoint, file)
    return file.getvalue()
