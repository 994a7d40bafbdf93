"""Weights that must reach the model."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from bas_mm.utils.finite import require_finite_weights


class LoadWatch:
    """Watches what a module's loads of state dicts leave as it is.

    mmengine loads what fits and logs the rest.

    Args:
        module: What is watched until :meth:`stop`.
    """

    def __init__(self, module: nn.Module) -> None:
        self._keys = set(module.state_dict())
        self._last: tuple[str, list[str], list[str]] = ('', [], [])
        self._handle = module.register_load_state_dict_pre_hook(self._note)

    def _note(
        self,
        module: nn.Module,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Mapping[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        # the lists are filled while the parts of the module load
        self._last = (prefix, missing_keys, error_msgs)

    def stop(self) -> None:
        """Watch no more."""
        self._handle.remove()

    def lost(self) -> set[str]:
        """Tell for which keys the last load had nothing, or another shape.

        BatchNorm's counters do not count: mmengine goes without them, too.
        """
        prefix, missing, errors = self._last
        return {
            key
            for key in self._keys
            if not key.endswith('num_batches_tracked')
            and (
                prefix + key in missing
                or any(f'size mismatch for {prefix}{key}:' in error for error in errors)
            )
        }


@contextmanager
def require_loaded(trunk: nn.Module, name: str = 'model.backbone') -> Iterator[None]:
    """Watch the initialization of a trunk by pretrained weights.

    mmengine loads what fits and logs the rest, so that a checkpoint whose keys
    are named otherwise loads into nothing.

    Args:
        trunk: Its ``init_cfg``, or that of the model around it, says where
            weights come from.
        name: What the config calls it.

    Raises:
        ValueError: At the end, if a checkpoint was loaded into the trunk that
            had no weights, or none of the right shape, for one of its
            convolutions.
    """
    convs = {
        f'{name}.weight'
        for name, module in trunk.named_modules()
        if isinstance(module, nn.modules.conv._ConvNd)
    }
    watch = LoadWatch(trunk)
    try:
        yield
    finally:
        watch.stop()
    lost = sorted(convs & watch.lost())
    if lost:
        source = _checkpoints(trunk)
        raise ValueError(
            f'The pretrained weights{" " if source else ""}'
            f'{", ".join(map(repr, source))} have nothing that fits for '
            f'{len(lost)} of the {len(convs)} convolutions of {type(trunk).__name__} '
            f'({_few(lost)}): they are of '
            'another network, or their keys have a prefix. Set '
            f'`{name}.init_cfg` (checkpoint, prefix), or train without '
            f'pretrained weights (`{name}.init_cfg=None`).'
        )


@contextmanager
def require_whole(model: nn.Module) -> Iterator[None]:
    """Watch the initialization of a model that is not trained afterwards.

    Args:
        model: Its parts whose ``init_cfg`` is ``Pretrained`` are watched.

    Raises:
        ValueError: At the end, if a checkpoint had nothing, or another shape,
            for a weight of such a part.
    """
    watches = [
        (name, checkpoint, LoadWatch(module))
        for name, module in model.named_modules()
        for checkpoint in _checkpoints(module)
    ]
    try:
        yield
    finally:
        for _, _, watch in watches:
            watch.stop()
    for name, checkpoint, watch in watches:
        lost = sorted(watch.lost())
        if lost:
            part = f'model.{name}' if name else 'model'
            raise ValueError(
                f'The pretrained weights {checkpoint!r} have nothing that fits for '
                f'{len(lost)} weights of `{part}` ({_few(lost)}): they are of another '
                'network or number of classes, or their keys have a prefix. Set '
                f'`{part}.init_cfg` (checkpoint, prefix), or train.'
            )


def pretrained_parts(model: nn.Module) -> list[tuple[str, str]]:
    """List the parts of a model that start from a checkpoint: name and file."""
    return [
        (name, checkpoint)
        for name, module in model.named_modules()
        for checkpoint in _checkpoints(module)
    ]


def _few(keys: Sequence[str]) -> str:
    """Name the first of some keys."""
    return ', '.join(keys[:3]) + (', ...' if len(keys) > 3 else '')


def _checkpoints(module: nn.Module) -> list[str]:
    """List the checkpoints that the ``init_cfg`` of a module names."""
    inits = getattr(module, 'init_cfg', None) or []
    inits = inits if isinstance(inits, (list, tuple)) else [inits]
    return [init['checkpoint'] for init in inits if init.get('checkpoint')]


def explain_misfit(model: nn.Module, state: Mapping[str, Any], name: str) -> str:
    """Say what does not fit between a model and a checkpoint.

    Args:
        model: The model.
        state: The state dict.
        name: Name of the checkpoint.
    """
    own = model.state_dict()
    text = f'The checkpoint {name!r} does not fit the model'
    last = [
        key
        for key in own
        if key.startswith('head.classifier.') and key.endswith('.weight')
    ][-1:]
    count = getattr(model, 'num_classes', None)
    if last and last[0] in state and len(state[last[0]]) != count:
        text += (
            f': it has {len(state[last[0]])} classes and the config '
            f'{count} (`model.head.num_classes`)'
        )
    missing = [key for key in own if key not in state]
    extra = [key for key in state if key not in own]
    shapes = [
        key
        for key in own
        if key in state and own[key].shape != getattr(state[key], 'shape', None)
    ]
    parts = [
        f'{len(keys)} {what} ({_few(keys)})'
        for what, keys in (
            ('are missing', missing),
            ('are unknown', extra),
            ('have another shape', shapes),
        )
        if keys
    ]
    return (
        f'{text}. Of its weights {"; ".join(parts)}. Give the config that '
        'it was trained with (or, but for `bas-mm test`, the checkpoint alone as '
        '`model` if it carries its config).'
    )


def fill_model(model: nn.Module, checkpoint: Mapping[str, Any], name: str) -> None:
    """Load weights into a model; every one must fit.

    The one way of all tools that do not train.

    Args:
        model: The model.
        checkpoint: A checkpoint of the runner, or a state dict.
        name: Its name, for the error.

    Raises:
        ValueError: If they do not fit, or are not finite; says what, and the
            likely cure.
    """
    state = checkpoint.get('state_dict', checkpoint)
    state = {str(key).removeprefix('module.'): value for key, value in state.items()}
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ValueError(explain_misfit(model, state, name)) from error
    require_finite_weights(state, f'The checkpoint {name!r}')
