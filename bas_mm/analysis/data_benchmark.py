"""What loading an image costs, transform by transform."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner

from bas_mm.utils.configs import build_dataset
from bas_mm.visualization.sheet import spread_indices


class LoadTime(NamedTuple):
    """What a step of loading takes.

    Attributes:
        split: 'train' or 'test'.
        step: A transform, 'all' of them, or the 'loader' with its workers.
        ms: Milliseconds an image: of the process; of the loader on the clock.
        share: Of all transforms, 0 to 1; None of the loader.
    """

    split: str
    step: str
    ms: float
    share: float | None


def time_transforms(cfg: Config, split: str, count: int) -> Iterator[LoadTime]:
    """Time the transforms of a split, image after image, in this process.

    Args:
        cfg: The config.
        split: 'train' or 'test'.
        count: Timed images, spread over the data set; one more goes before.

    Yields:
        Each transform in order, then all. Means over the images.
    """
    dataset = build_dataset(cfg, split)
    transforms = dataset.pipeline.transforms
    indices = spread_indices(len(dataset), count)
    seconds = []
    for index in (indices[0], *indices):  # the first fills caches
        results: Any = dataset.get_data_info(index)
        times = [time.process_time()]
        for transform in transforms:
            results = transform(results)
            times.append(time.process_time())
        seconds.append(np.diff(times))
    means = 1000 * np.mean(seconds[1:], axis=0)
    for transform, ms in zip(transforms, means):
        name = type(transform).__name__
        yield LoadTime(split, name, float(ms), float(ms / means.sum()))
    yield LoadTime(split, 'all', float(means.sum()), 1.0)


def time_loader(cfg: Config, split: str, count: int) -> LoadTime:
    """Time the loader of a split as it is set, on the clock.

    Args:
        cfg: The config.
        split: 'train' or 'test'.
        count: At least so many images, after the first batch, for which workers
            start; the data set goes round where it has fewer.

    Raises:
        ValueError: If the loader gives no batch.
    """
    loader = Runner.build_dataloader(cfg[f'{split}_dataloader'], seed=0)
    if not len(loader):
        raise ValueError(
            f'The loader of the {split} split has no whole batch of its '
            f'{len(loader.dataset)} images: set `{split}_dataloader.batch_size` lower, '
            f'or `{split}_dataloader.drop_last=False`.'
        )
    batches = cycle_anew(loader)
    next(batches)
    start, done = time.perf_counter(), 0
    while done < count:
        done += len(next(batches)['inputs'])
    ms = 1000 * (time.perf_counter() - start) / done
    workers = loader.num_workers
    return LoadTime(split, f'loader, {workers} workers', ms, None)


def cycle_anew(loader: Any) -> Iterator[Any]:
    """Give the batches of a loader, round after round, none of them kept."""
    while True:
        yield from loader


def time_loading(cfg: Config, count: int) -> Iterator[LoadTime]:
    """Time the loading of both splits of a config.

    Args:
        cfg: The config.
        count: Timed images of each.

    Raises:
        ValueError: If ``count`` is below 1, or the config has none of the splits.
    """
    splits = [x for x in ('train', 'test') if cfg.get(f'{x}_dataloader')]
    if not splits:
        raise ValueError(
            f'{cfg.filename} loads nothing: it has neither `train_dataloader` nor '
            '`test_dataloader`.'
        )
    for split in splits:
        yield from time_transforms(cfg, split, count)
        yield time_loader(cfg, split, count)
