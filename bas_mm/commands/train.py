"""Train a model.

CONFIG is a file, or the name of a config that comes with bas_mm, such as
bas_vgg16_cub.
"""

import argparse

from mmengine.config import Config
from mmengine.device import get_device

from bas_mm.engine import SettingsHook, SummaryHook
from bas_mm.engine.runner import build_runner, finish_config, leave_group, start_config
from bas_mm.utils.configs import dataloaders
from bas_mm.utils.options import add_runner_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('config', help='config file, or its name')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from CHECKPOINT, or, without one, from the latest '
        'checkpoint in the work dir',
    )
    parser.add_argument(
        '--no-validate', action='store_true', help='do not evaluate during training'
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate with the batch size',
    )
    parser.add_argument(
        '--no-persistent-workers',
        action='store_true',
        help='start the workers of the data loaders anew each epoch',
    )
    add_runner_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Train."""
    cfg = start_config(args)
    merge_args(cfg, args)
    finish_config(cfg, args, 'train')
    runner = build_runner(cfg)
    runner.register_hook(SettingsHook())
    runner.register_hook(SummaryHook('train', args.command_line))
    runner.train()
    leave_group()


def merge_args(cfg: Config, args: argparse.Namespace) -> None:
    """Apply the options of training, in place.

    Raises:
        ValueError: If ``--amp`` or ``--auto-scale-lr`` cannot be had.
    """
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.amp:
        if get_device() == 'cpu':
            raise ValueError(
                '--amp needs a GPU, and none was found. Leave --amp out to '
                'train on CPU.'
            )
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if args.auto_scale_lr:
        if cfg.get('auto_scale_lr') is None:
            raise ValueError(
                '--auto-scale-lr needs the batch size that the learning rate '
                f'was chosen for, and {args.config} has none: give it with '
                '--cfg-options auto_scale_lr.base_batch_size=N.'
            )
        cfg.auto_scale_lr.enable = True
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    if args.no_persistent_workers:
        for loader in dataloaders(cfg):
            loader.persistent_workers = False
