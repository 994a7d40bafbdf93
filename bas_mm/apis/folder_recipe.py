"""What a folder of images is trained with: config, split, schedule."""

import math
import os
import os.path as osp
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config
from mmengine.device import get_device

from bas_mm.datasets import CustomLocalization
from bas_mm.datasets.folder import read_folder
from bas_mm.utils.configs import (
    build_dataset,
    first_dataset,
    list_configs,
    load_config_file,
    set_data_root,
)
from bas_mm.utils.texts import plural

#: What the name of a config for folders of images ends in, after its method.
CUSTOM = '_efficientnet-lite0_custom'
#: Where the short recipe stands: images, epochs, and the steps it needs at least.
RECIPE_IMAGES, RECIPE_EPOCHS, LEAST_STEPS = 300, 9, 100
BATCH_SIZE = 16

Settings = dict[str, Any]


@dataclass(frozen=True)
class FolderRecipe:
    """How to train on a folder of images.

    Args:
        config: Name of the config.
        data_root: Root folder of its data sets.
        settings: What differs from the config, as ``--cfg-options`` takes it.
        summary: What was found and chosen, a line each.
    """

    config: str
    data_root: str
    settings: Settings
    summary: tuple[str, ...]


def list_methods() -> list[str]:
    """List the methods that have a config for folders of images."""
    return [name.removesuffix(CUSTOM) for name in list_configs() if CUSTOM in name]


def plan_folder(
    data: str | os.PathLike[str],
    method: str = 'bas',
    epochs: int | None = None,
    cfg_options: Mapping[str, Any] | None = None,
) -> FolderRecipe:
    """Choose how to train on a folder of images.

    Args:
        data: ``train/<class>/`` and ``test/<class>/`` (or ``val/``); or the
            class folders alone, here or in ``train/``: then a fifth of each
            class is held out for the test. ``boxes.json`` (COCO) and ``masks/``
            beside them are used to measure; boxes with scores are predictions, as
            ``bas-mm export`` writes them, and are not.
        method: See :func:`list_methods`.
        epochs: How many; defaults to :func:`choose_schedule`.
        cfg_options: Settings that win; they are followed here, not returned.

    Raises:
        FileNotFoundError: If there is no such folder, or no image.
        ValueError: If there is no such method, there are fewer than two
            classes, or ``epochs`` is below 1.
    """
    root = os.fspath(data)
    if not osp.isdir(root):
        raise FileNotFoundError(
            f'{root!r} is no folder (looked for {osp.abspath(root)}): give the folder '
            'that holds a folder of images for each class.'
        )
    if method not in list_methods():
        raise ValueError(
            f'No config for folders of images is for the method {method!r}: choose '
            f'one of {", ".join(list_methods())} (--method).'
        )
    cfg = load_config_file(method + CUSTOM)
    folder = read_folder(root)
    if 'train' not in folder.splits:
        raise ValueError(
            f'{root} has {folder.splits[0]}/ and no train/: add it, with a folder of '
            'images for each class.'
        )
    root = folder.root
    settings: Settings = {
        f'{split}_dataloader.dataset.{key}': value
        for split in ('train', 'val', 'test')
        for key, value in folder.settings(split).items()
    }
    set_data_root(cfg, root)
    options = dict(cfg_options or {})
    cfg.merge_from_dict({**settings, **options})
    train, num_test = count_images(cfg)
    batch_size, chosen = choose_schedule(len(train))
    batch_size = options.get('train_dataloader.batch_size', batch_size)
    if epochs is None:
        epochs = options.get('train_cfg.max_epochs', chosen)
    steps = math.ceil(len(train) / batch_size)
    settings |= stretch(cfg, epochs) | fit_machine()
    settings['train_dataloader.batch_size'] = batch_size
    settings['default_hooks.logger.interval'] = min(10, steps)
    held = (
        ''
        if not train.hold_out
        else (
            f' ({100 * train.test_ratio:g} % of each class, held out, '
            f'split_seed={train.split_seed})'
        )
    )
    warmup = settings.get('default_hooks.warmup.epochs')
    first = '' if warmup is None else f', the first {warmup} for the classifier alone'
    summary = (
        f'{root}: {plural(len(train), "image")} of {len(train.CLASSES)} classes to '
        f'train on, {num_test} to test{held}',
        f'To measure with: {folder.measures()}',
        f'{method + CUSTOM}: {plural(epochs, "epoch")} of {plural(steps, "step")} of '
        f'{plural(batch_size, "image")}{first}; on {get_device()}',
    )
    return FolderRecipe(method + CUSTOM, root, settings, summary)


def count_images(cfg: Config) -> tuple[CustomLocalization, int]:
    """Read the images of a config with its data root.

    Returns:
        The training set, and the number of test images.

    Raises:
        FileNotFoundError: If there is no image.
        ValueError: If there are fewer than two classes, or none has an image to
            hold out.
    """
    train = build_dataset(cfg, 'train', pipeline=[])
    if len(train.CLASSES) < 2:
        raise ValueError(
            f'{train.data_root} has one class folder, {train.CLASSES[0]!r}: a '
            'classifier needs at least two. Add a folder of other images, such as '
            'the same places without the object.'
        )
    settings = dict(first_dataset(cfg.train_dataloader), split='', pipeline=[])
    whole = type(train)(**{k: v for k, v in settings.items() if k != 'type'})
    if train.hold_out and len(whole) == len(train):
        raise ValueError(
            f'{train.data_root} needs two images of some class at least: one is held '
            'out for the test.'
        )
    return train, len(build_dataset(cfg, 'test', pipeline=[]))


def choose_schedule(num_images: int) -> tuple[int, int]:
    """Choose batch size and epochs by the number of training images.

    The short recipe is made for batches of 16 and 9 epochs of up to 300 images.
    More images get fewer epochs, by the square root, and at least 2; fewer
    images get as many as 100 steps take. Batches are halves of fewer than 32
    images.

    Args:
        num_images: At least 1.

    Returns:
        The batch size and the number of epochs.

    Example:
        >>> [choose_schedule(n) for n in (8, 40, 180, 300, 1200, 4000, 100000)]
        [(4, 50), (16, 34), (16, 9), (16, 9), (16, 4), (16, 2), (16, 2)]
    """
    batch_size = BATCH_SIZE if num_images >= 2 * BATCH_SIZE else max(1, num_images // 2)
    steps = math.ceil(num_images / batch_size)
    if num_images > RECIPE_IMAGES:
        share = math.sqrt(RECIPE_IMAGES / num_images)
        return batch_size, max(2, int(RECIPE_EPOCHS * share))
    return batch_size, max(RECIPE_EPOCHS, math.ceil(LEAST_STEPS / steps))


def stretch(cfg: Config, epochs: int) -> Settings:
    """Carry the schedule of a config over to another number of epochs.

    The warm-up and the milestones of the rates keep their share of the epochs,
    and end before the last one.

    Args:
        cfg: The config.
        epochs: How many.

    Returns:
        The settings that change.

    Raises:
        ValueError: If ``epochs`` is below 1.
    """
    if epochs < 1:
        raise ValueError(f'At least 1 epoch must be trained, got {epochs} (--epochs).')
    base = load_config_file(cfg.filename).train_cfg.max_epochs

    def at(epoch: int) -> int:
        return min(max(1, round(epoch * epochs / base)), epochs - 1)

    settings: Settings = {
        'train_cfg.max_epochs': epochs,
        'train_cfg.val_interval': epochs,
        'default_hooks.checkpoint.interval': math.ceil(epochs / 10),
    }
    if 'warmup' in cfg.default_hooks:
        settings['default_hooks.warmup.epochs'] = at(cfg.default_hooks.warmup.epochs)
    schedulers = cfg.param_scheduler
    for i, one in enumerate(schedulers if isinstance(schedulers, list) else []):
        if 'milestones' in one and one.get('by_epoch', True):
            settings[f'param_scheduler.{i}.milestones'] = [*map(at, one.milestones)]
    return settings


def fit_machine() -> Settings:
    """Choose the workers of the data loaders: none on one core, more for a GPU.

    Returns:
        The settings.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else 1
    workers = min(cores - 1, 2 if get_device() == 'cpu' else 8)
    return {f'{x}_dataloader.num_workers': workers for x in ('train', 'val', 'test')}
