"""Which checkpoint a training goes on from, and whether it is of this training."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner.checkpoint import CheckpointLoader

from bas_mm.engine.checkpoint import CheckpointError

#: Fields of a config that make it another training.
_TRAINING = (
    'model',
    'data_preprocessor',
    'train_dataloader',
    'train_cfg',
    'optim_wrapper',
    'param_scheduler',
    'auto_scale_lr',
    'custom_hooks',
    'randomness',
    'default_hooks',
)
#: Settings below them that do not, by the end of their path.
_MECHANICS = (
    'init_cfg',
    'pretrained',
    'num_workers',
    'pin_memory',
    'persistent_workers',
    'prefetch_factor',
    'collate_fn',
    'val_begin',
    'val_interval',
)
#: Default hooks that only write, show or stop.
_WRITERS = (
    'calibrate',
    'checkpoint',
    'class_check',
    'finite',
    'grid',
    'logger',
    'monitor',
    'param_scheduler',
    'runtime_info',
    'sampler_seed',
    'settings',
    'summary',
    'timer',
    'visualization',
)


def list_checkpoints(work_dir: str) -> list[Path]:
    """List what a training can go on from, the best choice first.

    Args:
        work_dir: Its work dir.

    Returns:
        What ``last_checkpoint`` there names, then the other checkpoints, the
        one that was written last first; without the ``best_*``, which hold no
        optimizer.
    """
    folder = Path(work_dir)
    paths = sorted(
        (path for path in folder.glob('*.pth') if not path.name.startswith('best_')),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    note = folder / 'last_checkpoint'
    last = note.read_text().strip() if note.is_file() else ''
    if last:
        # a work dir that was moved has its checkpoints still
        near = folder / Path(last).name
        paths.insert(0, near if near.is_file() else Path(last))
    return [path for path in dict.fromkeys(paths) if path.is_file()]


def find_whole(work_dir: str) -> tuple[Path, dict[str, Any], list[str]]:
    """Find the newest checkpoint of a work dir that loads whole.

    Args:
        work_dir: The work dir.

    Returns:
        Its path, its content, and why newer ones were left out.

    Raises:
        FileNotFoundError: If there is none; says why where there are files.
    """
    faults: list[str] = []
    for path in list_checkpoints(work_dir):
        try:
            return path, load_resumable(path), faults
        except CheckpointError as error:
            faults.append(str(error))
    why = f' ({" ".join(faults)})' if faults else ''
    raise FileNotFoundError(
        f'--resume: there is no checkpoint to go on from in {work_dir!r}{why}. Leave '
        '--resume out to train from the start, or name a checkpoint (--resume FILE) or '
        'another folder (--work-dir DIR).'
    )


def load_resumable(path: str | Path) -> dict[str, Any]:
    """Load a checkpoint that holds what a training needs to go on.

    Args:
        path: The file.

    Returns:
        Its content, on CPU.

    Raises:
        CheckpointError: If it is damaged or holds weights alone.
    """
    content = CheckpointLoader.load_checkpoint(str(path), 'cpu')
    needed = ('meta', 'state_dict', 'optimizer', 'message_hub')
    missing = [key for key in needed if key not in content]
    if missing:
        raise CheckpointError(
            f'The checkpoint {str(path)!r} has no {missing[0]}: nothing can go on from '
            'it. Train from its weights with `--cfg-options load_from=FILE`, or give '
            'one that the training wrote at the end of an epoch.'
        )
    return content


def changed_settings(meta: Mapping[str, Any], cfg: Config, processes: int) -> list[str]:
    """Compare a training with the one that wrote a checkpoint.

    Args:
        meta: ``meta`` of the checkpoint.
        cfg: The config of now.
        processes: Number of processes of now.

    Returns:
        A line for each setting that makes it another training: its path,
        what it was and what it is. Empty where the checkpoint has no config
        that can be read.
    """
    changes: list[str] = []
    before = _read_config(meta.get('cfg'))
    now = _read_config(cfg.pretty_text)
    if before is not None and now is not None:
        old, new = dict(_flatten(before)), dict(_flatten(now))
        none = object()
        changes = [
            f'{key}: {_show(old.get(key, none), none)} -> '
            f'{_show(new.get(key, none), none)}'
            for key in [*new, *(key for key in old if key not in new)]
            if old.get(key, none) != new.get(key, none)
            # a seed that was not asked for is that of the checkpoint
            and not (key == 'randomness.seed' and None in (old.get(key), new.get(key)))
        ]
    if meta.get('processes', processes) != processes:
        changes.append(f'processes: {meta["processes"]} -> {processes}')
    return changes


def explain_changes(path: str, changes: Sequence[str], most: int = 8) -> str:
    """Say that a checkpoint is of another training.

    Args:
        path: The checkpoint.
        changes: Of :func:`changed_settings`.
        most: So many are named.

    Example:
        >>> print(explain_changes('a.pth', ['model.head.topk: 1 -> 3']))
        --resume: 'a.pth' is of another training (model.head.topk: 1 -> 3). Give \
the settings that it was trained with, another --work-dir, or --allow-changes to go \
on with the new ones.
    """
    more = f'; and {len(changes) - most} more' if len(changes) > most else ''
    return (
        f'--resume: {path!r} is of another training ({"; ".join(changes[:most])}'
        f'{more}). Give the settings that it was trained with, another --work-dir, or '
        '--allow-changes to go on with the new ones.'
    )


def _read_config(text: Any) -> dict[str, Any] | None:
    """Read the fields of a config's text that matter, as data."""
    # not with the package: `import bas_mm` loads no models
    from bas_mm.apis.stored_config import read_fields

    if not isinstance(text, str):
        return None
    try:
        values = read_fields(text, _TRAINING)
    except (SyntaxError, ValueError, TypeError):
        return None
    hooks = values.get('default_hooks')
    if isinstance(hooks, dict):
        values['default_hooks'] = {
            name: hook for name, hook in hooks.items() if name not in _WRITERS
        }
    return values


def _flatten(part: Any, path: str = '') -> Iterator[tuple[str, Any]]:
    """Give the path and the value of each setting below a part of a config."""
    if path.rpartition('.')[2] in _MECHANICS:
        return
    if isinstance(part, dict) and part:
        for key, value in part.items():
            yield from _flatten(value, f'{path}.{key}' if path else str(key))
    elif isinstance(part, (list, tuple)) and part:
        for i, value in enumerate(part):
            yield from _flatten(value, f'{path}.{i}')
    elif part is not None and part != {} and part != []:
        yield path, part


def _show(value: Any, none: object) -> str:
    return 'not set' if value is none else repr(value)
