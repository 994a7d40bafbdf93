"""What is about to be trained, in about twenty lines."""

import os.path as osp
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from bas_mm.registry import HOOKS
from bas_mm.utils.loading import pretrained_parts
from bas_mm.utils.models import unwrap
from bas_mm.utils.texts import plural


@HOOKS.register_module()
class SettingsHook(Hook):
    """Says before training what will be trained, on what and how.

    Data, counts, classes, network, weights, what is frozen, recipe and device:
    what a person looks at before the days of a GPU are spent. The whole config
    is in the log file.
    """

    priority = 'VERY_LOW'  # after the checks of other hooks

    def before_train(self, runner: Runner) -> None:
        """Log the settings."""
        name = osp.splitext(osp.basename(str(runner.cfg.filename or '')))[0]
        lines = [f'Training {name or runner.model_name}']
        lines += [f'  {key:<10}{text}' for key, text in describe_run(runner)]
        runner.logger.info('\n'.join(lines))


def describe_run(runner: Runner) -> Iterator[tuple[str, str]]:
    """Give the settings of a run that matter, name and text."""
    yield 'data', describe_data(runner)
    classes = runner.train_dataloader.dataset.metainfo.get('classes')
    if classes:
        more = ', ...' if len(classes) > 6 else ''
        yield 'classes', f'{len(classes)}: {", ".join(map(str, classes[:6]))}{more}'
    model = unwrap(runner.model)
    yield 'model', describe_model(model)
    yield 'weights', describe_weights(runner)
    frozen = describe_frozen(model)
    if frozen:
        yield 'frozen', frozen
    loss = getattr(getattr(model, 'head', None), 'loss_module', None)
    if loss is not None:
        numbers = {k: v for k, v in vars(loss).items() if isinstance(v, (float, str))}
        yield 'loss', ' '.join([type(loss).__name__, *_pairs(numbers)])
    if hasattr(getattr(model, 'head', None), 'test_options'):
        options = vars(model.head.test_options())
        yield 'maps', ', '.join(_pairs(options))
    yield from describe_recipe(runner)
    yield 'device', describe_device(runner)
    yield 'work dir', f'{runner.work_dir} (log: {_log_file(runner)})'


def _pairs(values: Mapping[str, Any]) -> list[str]:
    return [f'{k}={v}' for k, v in values.items() if v is not None]


def _log_file(runner: Runner) -> str:
    return osp.relpath(runner.logger.log_file or '', runner.work_dir)


def describe_data(runner: Runner) -> str:
    """Say which images train and validate, and in which batches."""
    loader = runner.train_dataloader
    root = getattr(loader.dataset, 'data_root', None)
    counts = [f'{plural(len(loader.dataset), "image")} to train']
    if runner.val_loop is not None:
        counts.append(f'{len(runner.val_dataloader.dataset)} to validate')
    size = getattr(loader.batch_sampler, 'batch_size', None)
    batch = f'batches of {size}' if size else 'batches'
    if runner.world_size > 1:
        batch += f' on each of {runner.world_size} processes'
    where = f'{root} ' if root else ''
    return (
        f'{where}({type(loader.dataset).__name__}), {" and ".join(counts)}, '
        f'{batch}, {plural(len(loader), "step")} an epoch'
    )


def describe_model(model: nn.Module) -> str:
    """Name the parts of a model and its size."""
    parts = [type(model).__name__]
    for name in ('backbone', 'neck', 'head'):
        part = getattr(model, name, None)
        if part is not None:
            start = (
                f' at {part.start}' if isinstance(vars(part).get('start'), str) else ''
            )
            parts.append(f'{type(part).__name__}{start}')
    count = sum(p.numel() for p in model.parameters()) / 1e6
    return f'{" / ".join(parts)}, {count:.1f} M parameters'


def describe_weights(runner: Runner) -> str:
    """Say where the weights come from."""
    if runner._load_from is not None or runner._resume:
        verb = 'resumed from' if runner._resume else 'loaded from'
        return f'{verb} {runner._load_from or "the latest checkpoint"}'
    parts = [
        f'{name or "model"} from {checkpoint}'
        for name, checkpoint in pretrained_parts(unwrap(runner.model))
    ]
    return ', '.join(parts) or 'none: everything starts from random numbers'


def describe_frozen(model: nn.Module) -> str:
    """Say which parts are not trained; empty if all are.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        >>> _ = model[0].requires_grad_(False)
        >>> describe_frozen(model)
        '2 of 4 tensors: 0'
    """
    tensors = dict(model.named_parameters())
    still = [name for name, p in tensors.items() if not p.requires_grad]
    moving = [name for name, p in tensors.items() if p.requires_grad]
    if not still:
        return ''
    groups: dict[str, None] = {}
    for name in still:  # the largest part that holds nothing which is trained
        parts = name.split('.')
        for i in range(1, len(parts) + 1):
            part = '.'.join(parts[:i])
            if not any(other.startswith(f'{part}.') for other in moving):
                groups[part] = None
                break
    shown = list(groups)
    more = f' and {len(shown) - 4} more' if len(shown) > 4 else ''
    return (
        f'{len(still)} of {plural(len(tensors), "tensor")}: '
        f'{", ".join(shown[:4])}{more}'
    )


def describe_recipe(runner: Runner) -> Iterator[tuple[str, str]]:
    """Give length, optimizer and schedule."""
    loop = runner.train_loop
    length = plural(loop.max_epochs, 'epoch')
    warmup = [h.epochs for h in runner.hooks if type(h).__name__ == 'ClsWarmupHook']
    if any(warmup):
        length += f', the first {sum(warmup)} of classification alone'
    yield 'length', f'{length}; validated every {loop.val_interval}'
    wrapper = runner.optim_wrapper
    optimizer = getattr(wrapper, 'optimizer', wrapper)
    settings = (runner.cfg.get('optim_wrapper') or {}).get('optimizer') or {}
    words = _pairs({k: v for k, v in settings.items() if k != 'type'})
    yield 'optimizer', ' '.join([type(optimizer).__name__, *words])
    custom = (runner.cfg.get('optim_wrapper') or {}).get('paramwise_cfg') or {}
    rates = {
        key: f'x{values["lr_mult"]:g}'
        for key, values in (custom.get('custom_keys') or {}).items()
        if isinstance(values, Mapping) and 'lr_mult' in values
    }
    if rates:
        yield 'rates', ', '.join(f'{key} {rate}' for key, rate in rates.items())
    schedule = runner.cfg.get('param_scheduler') or []
    schedule = schedule if isinstance(schedule, (list, tuple)) else [schedule]
    names = [str(one.get('type')) for one in schedule if isinstance(one, Mapping)]
    if names:
        yield 'schedule', ', '.join(names)


def describe_device(runner: Runner) -> str:
    """Say where the run computes, and with which random numbers."""
    device = next(unwrap(runner.model).parameters()).device
    amp = ', mixed precision' if 'Amp' in type(runner.optim_wrapper).__name__ else ''
    same = ', deterministic' if runner.deterministic else ''
    count = runner.world_size
    shared = f', {count} processes' if count > 1 else ''
    return f'{device}{amp}{shared}, seed {runner.seed}{same}'
