"""How sure a figure is: the bootstrap over images."""

import logging
import re
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from mmengine.logging import MMLogger

from bas_mm.evaluation.records import pack_counts, unpack_counts
from bas_mm.evaluation.wsol_metric import WSOLMetric


def resample(metric: WSOLMetric, num: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Figures of a metric on images drawn with replacement.

    Each time as many images as there are. Equal numbers of images and
    seeds draw the same images, so that the difference of two such results,
    of two models on images in the same order, is a paired one. What a metric
    chooses on the data set, such as its best threshold, it chooses anew.

    Args:
        metric: After ``evaluate``; it is left as it was.
        num: How many times.
        seed: Of the random numbers.

    Returns:
        Names, without prefix, to figures ``(num,)``. Numbers of images are
        left out. Empty if the metric has no image or no figure.

    Raises:
        ValueError: If ``num`` is below 1.
    """
    if num < 1:
        raise ValueError(f'num={num} resamples: at least 1 is needed.')
    table = metric.table
    if not table:
        return {}
    size = len(next(iter(table.values())))
    rng = np.random.default_rng(seed)
    draws = (rng.integers(size, size=size) for _ in range(num))
    if any(column.dtype == object for column in table.values()):
        tables = _pool(table, draws)
    else:
        tables = ({k: v[rows] for k, v in table.items()} for rows in draws)
    with quiet():
        figures = [metric.compute(rows) for rows in tables]
    # A figure may be missing from a resample that lacks, say, all boxes.
    names = sorted(set().union(*figures)) if figures else []
    return {
        name: np.array([x.get(name, np.nan) for x in figures], float)
        for name in names
        if not re.search(r'(^|_)num_', name)
    }


def interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of resampled figures, NaN ones left out.

    Args:
        values: Shape ``(num,)``, of :func:`resample`.
        level: Share of the values inside.

    Returns:
        Low and high end; NaN if all values are.

    Raises:
        ValueError: If ``level`` is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f'level={level} must be between 0 and 1.')
    values = values[~np.isnan(values)]
    if not len(values):
        return float('nan'), float('nan')
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def intervals(
    metrics: Sequence, num: int, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """95 % intervals of the figures of several metrics, after ``evaluate``.

    Args:
        metrics: Those that are no :class:`WSOLMetric` are passed over.
        num: How many times.
        seed: Of the random numbers.

    Returns:
        Names, with prefix, to low and high end.
    """
    found = {}
    for metric in metrics:
        if isinstance(metric, WSOLMetric):
            for name, values in resample(metric, num, seed).items():
                found[f'{metric.prefix}/{name}'] = interval(values)
    return found


def _pool(
    table: dict[str, np.ndarray], draws: Iterator[np.ndarray]
) -> Iterator[dict[str, np.ndarray]]:
    """Tables of packed counts, each already summed over the drawn images.

    Sums are all that metrics of counts ask for; each image is unpacked once,
    not once a draw.
    """
    ((name, column),) = table.items()
    weights = np.stack(
        [np.bincount(rows, minlength=len(column)).astype(np.uint16) for rows in draws]
    )
    shape = (len(zlib.decompress(column[0])) // 4,)
    total = np.zeros((len(weights), *shape))
    for part in np.array_split(np.arange(len(column)), len(column) // 512 + 1):
        counts = np.stack([unpack_counts([x], shape) for x in column[part]])
        total += weights[:, part].astype(float) @ counts.astype(float)
    top = 2**32 - 1  # what a packed count can hold
    for row in total.astype(np.int64):
        packed = []
        while row.max() > top:
            packed.append(pack_counts(np.minimum(row, top)))
            row = row - np.minimum(row, top)
        yield {name: np.array([*packed, pack_counts(row)], object)}


@contextmanager
def quiet() -> Iterator[None]:
    """Switch warnings off, of the log and of numbers without a value.

    What is worth saying was said of the whole data set.
    """
    logger = MMLogger.get_current_instance()

    def severe(record: logging.LogRecord) -> bool:
        return record.levelno > logging.WARNING

    logger.addFilter(severe)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', RuntimeWarning)
            yield
    finally:
        logger.removeFilter(severe)
