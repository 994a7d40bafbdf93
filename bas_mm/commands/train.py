"""Train a model.

CONFIG is a file, or the name of a config that comes with bas_mm, such as
bas_vgg16_cub; or a folder that holds a folder of images for each class. For
the latter a recipe is chosen by the number of images, and the checkpoint is
tested at the end, with a report, on images that were not trained on.
"""

import argparse
import os
import os.path as osp
import shlex

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from bas_mm.apis.folder_recipe import list_methods, plan_folder
from bas_mm.apis.model import choose_device
from bas_mm.apis.training import TrainedRun, find_run, write_report
from bas_mm.commands import build_parser
from bas_mm.commands.test import build_dump, finish_test
from bas_mm.engine import SettingsHook, SummaryHook
from bas_mm.engine.fast_training import train_fast
from bas_mm.engine.resumable_runner import ResumableRunner
from bas_mm.engine.runner import (
    build_runner,
    finish_config,
    leave_group,
    start_config,
    use_device,
)
from bas_mm.engine.work_dir_lock import work_dir_lock
from bas_mm.utils.configs import dataloaders, find_config, list_configs
from bas_mm.utils.options import add_device_argument, add_runner_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        'config', help='config file, or its name; or a folder of class folders'
    )
    parser.add_argument(
        '--method',
        metavar='|'.join(list_methods()),
        help='what a folder of images is trained with (default: bas)',
    )
    parser.add_argument(
        '--epochs',
        type=int,
        help='for a folder of images (default: by their number)',
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from CHECKPOINT, or, without one, from the latest '
        'checkpoint in the work dir',
    )
    parser.add_argument(
        '--allow-changes',
        action='store_true',
        help='let --resume go on with other settings than those of the checkpoint',
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
    parser.add_argument(
        '--allow-nan',
        type=int,
        metavar='N',
        help='go on where the loss of up to N steps in a row is not finite, as the '
        'scaler of --amp leaves such steps out (default: stop at the first)',
    )
    parser.add_argument(
        '--fast',
        action='store_true',
        help='compute in bfloat16; on a GPU also channels-last, the trunk compiled',
    )
    add_device_argument(parser)
    add_runner_arguments(parser)
    parser.set_defaults(folder=False)


def run(args: argparse.Namespace) -> TrainedRun | None:
    """Train.

    Returns:
        What it leaves, of a folder of images.
    """
    device = None if args.device is None else choose_device(args.device)
    with use_device(device):
        choose_recipe(args)
        cfg = start_config(args)
        merge_args(cfg, args)
        finish_config(cfg, args, 'train')
        if args.allow_nan is not None:
            finite = dict(type='bas_mm.FiniteHook', allow=args.allow_nan)
            cfg.default_hooks.finite = finite
        if (cfg.get('randomness') or {}).get('deterministic'):
            # without it CUDA's matrix products are not; read when they first run
            os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
        with work_dir_lock(cfg.work_dir, cfg.launcher):
            runner = build_runner(cfg)
            if isinstance(runner, ResumableRunner):
                runner.allow_changes = args.allow_changes
            runner.register_hook(SettingsHook())
            runner.register_hook(SummaryHook('train', args.command_line))
            runner.train()
            found = finish_folder(runner, args) if args.folder else None
            leave_group()
    return found


def choose_recipe(args: argparse.Namespace) -> None:
    """Choose config and settings where a folder of images is given, in place.

    Raises:
        FileNotFoundError: If there is neither.
        ValueError: If an option is for the other of folder and config.
    """
    known = args.config in list_configs()
    args.folder = args.folder or (osp.isdir(args.config) and not known)
    if not args.folder:
        for name in ('method', 'epochs'):
            if getattr(args, name) is not None:
                raise ValueError(
                    f'--{name} is for a folder of images, and {args.config} is none: '
                    'leave it out; a config says its method, and its epochs with '
                    '--cfg-options train_cfg.max_epochs=N.'
                )
        try:
            find_config(args.config)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f'{error} Nor is there a folder of images, '
                f'{osp.abspath(args.config)!r}.'
            ) from error
        return
    if args.data_root is not None:
        raise ValueError(
            f'--data-root {args.data_root} and the folder {args.config} both say where '
            'the images are: leave --data-root out.'
        )
    folder = osp.basename(osp.abspath(args.config))
    args.method = args.method or 'bas'
    recipe = plan_folder(args.config, args.method, args.epochs, args.cfg_options)
    args.config, args.data_root = recipe.config, recipe.data_root
    args.cfg_options = {
        key: value
        for key, value in (recipe.settings | (args.cfg_options or {})).items()
        if not (args.no_validate and key.startswith('val_'))
    }
    if args.work_dir is None:
        args.work_dir = osp.join('./work_dirs', f'{args.method}_{folder}')
    if os.environ.get('RANK', '0') == '0':
        print('\n'.join([*recipe.summary, f'Work dir: {args.work_dir}']), flush=True)


def finish_folder(runner: Runner, args: argparse.Namespace) -> TrainedRun:
    """Test what a folder of images gave, write the report, say what is where."""
    run = find_run(runner)
    if not args.no_validate:
        options = build_parser('test').parse_args([run.config, run.checkpoint])
        options.dump = osp.join(run.work_dir, 'dump', 'test.npz')
        options.dump_views = 200
        summary = SummaryHook('test', args.command_line, run.checkpoint)
        runner.register_hook(summary)
        runner.load_checkpoint(run.checkpoint)  # as anyone else will have it
        runner.test_evaluator.metrics.append(build_dump(runner, options))
        metrics = runner.test()
        if is_main_process():
            finish_test(metrics, runner, options, summary)
        run = write_report(run, metrics, options.dump)
    if is_main_process():
        lines = [f'Checkpoint: {run.checkpoint}']
        lines += [f'Report: {run.report}'] if run.report else []
        lines += [
            f'Localize: bas-mm localize IMAGES --model {shlex.quote(run.checkpoint)}',
            'Boxes of the training images: bas-mm export '
            f'{shlex.join([run.config, run.checkpoint])} --out boxes.json',
        ]
        print('\n'.join(lines), flush=True)
    return run


def merge_args(cfg: Config, args: argparse.Namespace) -> None:
    """Apply the options of training, in place.

    Raises:
        ValueError: If ``--amp``, ``--fast`` or ``--auto-scale-lr`` cannot be had.
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
    if args.fast:
        train_fast(cfg, torch.device(get_device()))
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
