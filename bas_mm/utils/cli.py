"""What the tools share: options, configs, Runner."""

import argparse
import numbers
import os
import os.path as osp
from typing import Any, Dict, Iterator, List, Optional

import numpy as np
import torch.distributed as dist
from mmengine.config import Config, ConfigDict, DictAction
from mmengine.device import get_device
from mmengine.registry import RUNNERS, init_default_scope
from mmengine.runner import Runner, load_checkpoint
from mmpretrain.registry import DATASETS, MODELS
from torch import nn

#: Data sets that make their folder on first use.
SELF_MADE_DATASETS = ('ToyLocalization',)


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of every tool that reads a config."""
    parser.add_argument(
        '--data-root', metavar='DIR', help='point every data set of the config at DIR'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override settings of the config with KEY=VALUE pairs, e.g. '
        'model.head.num_classes=6; lists as key="[a,b]" or key=a,b, tuples '
        'in lists as key="[(a,b),(c,d)]" with the quotation marks and '
        'without blanks. They are applied last and win',
    )


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that training and testing share."""
    parser.add_argument(
        '--work-dir',
        help='folder for logs and checkpoints (default: that of the config, '
        'else ./work_dirs/<config name>)',
    )
    add_config_arguments(parser)
    parser.add_argument(
        '--seed', type=int, help='random seed (default: that of the config)'
    )
    parser.add_argument(
        '--amp', action='store_true', help='use automatic mixed precision'
    )
    parser.add_argument(
        '--no-pin-memory',
        action='store_true',
        help='do not pin the memory of the data loaders',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how the processes of a distributed run are started',
    )
    # torch's launcher passes `--local-rank`, older ones `--local_rank`.
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS
    )


def add_inference_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the tools that localise without a Runner."""
    parser.add_argument(
        '--threshold',
        type=float,
        help='where the map is cut, 0 to 1 (default: that of the config)',
    )
    parser.add_argument(
        '--topk',
        type=int,
        help='mean of the maps of so many classes (default: that of the config)',
    )
    parser.add_argument(
        '--multi',
        action='store_true',
        help='an object for each component above the threshold, not only for '
        'the largest',
    )
    parser.add_argument(
        '--view',
        choices=['full', 'test'],
        default='full',
        help="what the model sees: the full picture, or the crop of the "
        "config's test pipeline (default: full)",
    )
    parser.add_argument(
        '--on-error',
        choices=['raise', 'skip'],
        default='raise',
        help='stop at a picture that cannot be read, or leave it out',
    )
    parser.add_argument('--batch-size', type=int, default=8)
    parser.add_argument('--device', help='cpu, cuda, ... (default: what is there)')


def load_config(args: argparse.Namespace) -> Config:
    """Read the config file and apply the options of both tools.

    ``--cfg-options`` are not applied here: see :func:`finish_config`.

    Args:
        args (Namespace): Parsed options of :func:`add_common_arguments` and
            ``config``.

    Returns:
        Config: The config.

    Raises:
        FileNotFoundError: If the config file or ``--data-root`` is missing.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = Config.fromfile(args.config)
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


def finish_config(cfg: Config, args: argparse.Namespace) -> None:
    """Apply ``--cfg-options`` and what depends on the machine, in place.

    Loaders collate data samples as lists, pin memory where there is an
    accelerator, and keep their workers. Without an accelerator, distributed
    runs use gloo.

    Args:
        cfg (Config): The config of :func:`load_config`.
        args (Namespace): Parsed options.
    """
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    follow_classes(
        cfg, 'test' if hasattr(args, 'checkpoint') else 'train', args.cfg_options
    )
    on_cpu = get_device() == 'cpu'
    for loader in _dataloaders(cfg):
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


def follow_classes(
    cfg: Config, split: str = 'train', cfg_options: Optional[dict] = None
) -> None:
    """Give the head as many classes as the data has, in place.

    Only where the config says ``num_classes_from_data = True`` (a folder for
    each class: the folders are the classes), and only if no option says
    another number.

    Args:
        cfg (Config): The config.
        split (str): Whose classes count: 'train' or 'test'.
        cfg_options (dict, optional): Settings of the command line.
    """
    if not cfg.get('num_classes_from_data') or 'model.head.num_classes' in (
        cfg_options or ()
    ):
        return
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    dataset = next(_leaf_datasets(cfg[f'{split}_dataloader'].dataset))
    dataset = DATASETS.build(dict(dataset, pipeline=[]))
    cfg.model.head.num_classes = len(dataset.metainfo['classes'])


def set_data_root(cfg: Config, data_root: str) -> None:
    """Point every data set of a config at one folder, in place.

    Data sets inside wrappers (``RepeatDataset``, ``ConcatDataset``, ...) are
    found too.

    Args:
        cfg (Config): The config.
        data_root (str): The folder.

    Raises:
        FileNotFoundError: If there is no such folder and some data set of
            the config does not make it on first use.
        ValueError: If the config has no data set.
    """
    datasets = [
        leaf
        for loader in _dataloaders(cfg)
        for leaf in _leaf_datasets(loader.get('dataset'))
    ]
    if not datasets:
        raise ValueError(
            f'--data-root {data_root} has nothing to point at: the config '
            f'{cfg.filename} has no data set in `train_dataloader`, '
            '`val_dataloader` or `test_dataloader`.'
        )
    needs_folder = any(
        str(dataset.get('type')).rsplit('.', 1)[-1] not in SELF_MADE_DATASETS
        for dataset in datasets
    )
    if needs_folder and not osp.isdir(data_root):
        raise FileNotFoundError(
            f'--data-root {data_root!r} is no folder (looked for '
            f'{osp.abspath(data_root)}). Give the folder that holds the data '
            'set, as the README describes it.'
        )
    for dataset in datasets:
        dataset['data_root'] = data_root


def read_config(
    path: str, data_root: Optional[str] = None, cfg_options: Optional[dict] = None
) -> Config:
    """Read a config for a tool that needs no Runner, and set its scope.

    Args:
        path (str): The config file.
        data_root (str, optional): See :func:`set_data_root`.
        cfg_options (dict, optional): Settings that win.

    Returns:
        Config: The config.
    """
    cfg = Config.fromfile(path)
    if data_root is not None:
        set_data_root(cfg, data_root)
    if cfg_options:
        cfg.merge_from_dict(cfg_options)
    follow_classes(cfg, cfg_options=cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    return cfg


def load_model(cfg: Config, checkpoint: str) -> nn.Module:
    """Build the model of a config with the weights of a checkpoint.

    Args:
        cfg (Config): The config of :func:`read_config`.
        checkpoint (str): Checkpoint file; every weight must fit.

    Returns:
        nn.Module: The model in eval mode, on the default device.

    Raises:
        ValueError: If the weights are not those of the config's model.
    """
    model = MODELS.build(cfg.model)
    try:
        load_checkpoint(model, checkpoint, map_location='cpu', strict=True)
    except RuntimeError as error:
        if 'do not match exactly' not in str(error):
            raise
        raise ValueError(
            f'The checkpoint {checkpoint!r} is not of the model of '
            f'{cfg.filename}: {str(error)[:500]}\nGive the config that it was '
            'trained with; where the class counts differ, with '
            '`--cfg-options model.head.num_classes=N`.'
        ) from error
    return model.to(get_device()).eval()


def spread_indices(total: int, num: int) -> List[int]:
    """At most ``num`` indices, spread evenly over ``range(total)``.

    Raises:
        ValueError: If ``num`` is below 1.
    """
    if num < 1:
        raise ValueError(f'At least 1 picture must be asked for, got {num}.')
    return np.linspace(0, total - 1, min(num, total)).round().astype(int).tolist()


def build_runner(cfg: Config) -> Runner:
    """Build the Runner; ``runner_type`` in the config picks another class."""
    if 'runner_type' in cfg:
        return RUNNERS.build(cfg)
    return Runner.from_cfg(cfg)


def format_metrics(metrics: Dict[str, Any]) -> str:
    """Lay out metrics as a table of two columns.

    Args:
        metrics (dict): Name to value. Values other than numbers and strings
            (whole curves, for instance) are left out.

    Returns:
        str: The table; one line saying so if there are no metrics.
    """
    rows = {}
    for name, value in metrics.items():
        if isinstance(value, numbers.Integral):
            rows[name] = f'{value:d}'
        elif isinstance(value, numbers.Real):
            rows[name] = f'{value:.4f}'
        elif isinstance(value, str):
            rows[name] = value
    if not rows:
        return 'No metrics.'
    left = max(map(len, [*rows, 'metric']))
    right = max(map(len, [*rows.values(), 'value']))
    lines = [f'{"metric":<{left}}  {"value":>{right}}', f'{"-" * left}  {"-" * right}']
    lines += [f'{name:<{left}}  {text:>{right}}' for name, text in rows.items()]
    return '\n'.join(lines)


def _dataloaders(cfg: Config) -> Iterator[ConfigDict]:
    """The data loader settings of a config; a field may hold several."""
    for field in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loaders = cfg.get(field)
        for loader in loaders if isinstance(loaders, (list, tuple)) else [loaders]:
            if loader is not None:
                yield loader


def _leaf_datasets(dataset: Any) -> Iterator[ConfigDict]:
    """The data sets below any number of wrappers."""
    if not isinstance(dataset, dict):
        return
    inner = [*dataset.get('datasets', ()), dataset.get('dataset')]
    children = [child for child in inner if isinstance(child, dict)]
    for child in children:
        yield from _leaf_datasets(child)
    if not children:
        yield dataset


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
