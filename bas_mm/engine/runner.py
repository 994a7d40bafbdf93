"""From the options of the command line to a Runner."""

import argparse
import contextlib
import os
import os.path as osp
from collections.abc import Iterator

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.device import utils as device_utils
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from bas_mm.engine.console import ConsoleRunner
from bas_mm.engine.resumable_runner import ResumableRunner
from bas_mm.utils.configs import (
    dataloaders,
    load_config_file,
    set_data_root,
    settle,
)
from bas_mm.utils.memory import keep_memory

#: Hooks that mmengine adds by itself, and leaves out where they are None.
MMENGINE_HOOKS = (
    'runtime_info',
    'timer',
    'sampler_seed',
    'logger',
    'param_scheduler',
    'checkpoint',
)


def start_config(args: argparse.Namespace) -> Config:
    """Read the config of training or testing and apply their common options.

    ``--cfg-options`` are not applied here: see :func:`finish_config`.

    Args:
        args: ``config`` and the options of
            :func:`bas_mm.utils.options.add_runner_arguments`.

    Returns:
        The config.

    Raises:
        FileNotFoundError: If the config file or ``--data-root`` is missing.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = load_config_file(args.config)
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        name = osp.splitext(osp.basename(args.config))[0]
        cfg.work_dir = osp.join('./work_dirs', name)
    if args.seed is not None:
        cfg.randomness = {**cfg.get('randomness', {}), 'seed': args.seed}
    if args.data_root is not None:
        set_data_root(cfg, args.data_root)
    return cfg


def finish_config(cfg: Config, args: argparse.Namespace, split: str) -> None:
    """Apply ``--cfg-options`` and what depends on the machine, in place.

    Loaders collate data samples as lists, pin memory where there is an
    accelerator, and keep their workers. Without an accelerator, distributed
    runs use gloo, and the process keeps its memory
    (:func:`bas_mm.utils.memory.keep_memory`) unless ``env_cfg.keep_memory`` is
    False.

    Args:
        cfg: The config of :func:`start_config`.
        args: The options.
        split: Whose folders are the classes, where the config counts them in
            the data.
    """
    settle(cfg, split, args.cfg_options)
    settle_hooks(cfg)
    on_cpu = get_device() == 'cpu'
    if on_cpu and (cfg.get('env_cfg') or {}).get('keep_memory', True):
        keep_memory()
    for loader in dataloaders(cfg):
        loader.setdefault('collate_fn', dict(type='default_collate'))
        loader.setdefault('pin_memory', not on_cpu)
        if args.no_pin_memory:
            loader['pin_memory'] = False
        if loader.get('num_workers', 0) > 0:
            loader.setdefault('persistent_workers', True)
        else:
            loader['persistent_workers'] = False
    if cfg.launcher != 'none' and on_cpu:
        _use_gloo(cfg)


def settle_hooks(cfg: Config) -> None:
    """Take out the hooks that are set to None, add those of every run, in place.

    mmengine takes None for its own hooks only.
    """
    hooks = dict(cfg.get('default_hooks') or {})
    hooks.setdefault('finite', dict(type='bas_mm.FiniteHook'))
    cfg.default_hooks = {
        name: hook
        for name, hook in hooks.items()
        if hook is not None or name in MMENGINE_HOOKS
    }


class CommandRunner(ConsoleRunner, ResumableRunner):
    """The Runner of the commands: its trainings survive kills, and it says little."""


def build_runner(cfg: Config) -> Runner:
    """Build the Runner; ``runner_type`` in the config picks another class.

    Raises:
        ValueError: If the config has no model.
    """
    if 'runner_type' in cfg:
        return RUNNERS.build(cfg)
    if cfg.get('model') is None:
        raise ValueError(
            f'The config {cfg.filename} has no `model`, so nothing can be done: '
            'give one of a whole run, such as bas_efficientnet-lite0_toy.'
        )
    return CommandRunner.from_cfg(cfg)


@contextlib.contextmanager
def use_device(device: torch.device | None) -> Iterator[None]:
    """Let Runners use a device; mmengine takes the first kind there is.

    Args:
        device: One that is there; None leaves the choice to mmengine.
    """
    if device is None:
        yield
        return
    before = get_device()
    if device.type == 'cuda' and device.index is not None:
        torch.cuda.set_device(device)
    device_utils.DEVICE = device.type
    try:
        yield
    finally:
        device_utils.DEVICE = before


def leave_group() -> None:
    """Wait for the other processes of a distributed run, and part from them.

    A process that ends while it still belongs to the group can be aborted, and
    the launcher then stops the one that is writing the last checkpoint.
    """
    if dist.is_available() and dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def _use_gloo(cfg: Config) -> None:
    """Prepare a distributed run on CPU, in place.

    mmengine picks a CUDA device for each process and hands its id to
    DistributedDataParallel; both fail where there is none. So the process
    group is made here and the ids are taken out.
    """
    cfg.merge_from_dict({'env_cfg.dist_cfg.backend': 'gloo'})
    wrapper = dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    )
    wrapper.update(cfg.get('model_wrapper_cfg') or {})
    wrapper['device_ids'] = None
    cfg.model_wrapper_cfg = wrapper
    if cfg.launcher == 'pytorch' and not dist.is_initialized():
        dist.init_process_group('gloo')
