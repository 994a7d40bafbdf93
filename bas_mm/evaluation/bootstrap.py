"""Confidence intervals of figures: the bootstrap over images."""

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
    """Compute a metric on images drawn with replacement.

    Each time as many images are drawn as there are. Equal numbers of images
    and seeds draw the same images, so that the difference of two such results,
    of two models on images in the same order, is a paired one. What a metric
    chooses on the data set, such as its best threshold, it chooses anew.

    Args:
        metric: After ``evaluate``; it is left as it was.
        num: Number of draws.
        seed: Seed of the random numbers.

    Returns:
        Names, without prefix, to figures ``(num,)``. Numbers of images are
        left out. Empty if the metric has no image or no figure.

    Raises:
        ValueError: If ``num`` is below 1.

    Example:
        >>> from bas_mm.evaluation import PeakIoU
        >>> metric = PeakIoU()
        >>> metric.process({}, [dict(pred_map=np.eye(2), gt_seg_map=np.eye(2))])
        >>> _ = metric.evaluate(1)
        >>> resample(metric, num=3)['peak_iou'].tolist()
        [100.0, 100.0, 100.0]
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
    """Give the percentile interval of resampled figures, NaN ones left out.

    Args:
        values: Shape ``(num,)``, of :func:`resample`.
        level: Share of the values inside, between 0 and 1.

    Returns:
        Low and high end; NaN if all values are.

    Raises:
        ValueError: If ``level`` is not between 0 and 1.

    Example:
        >>> interval(np.arange(101.0), level=0.5)
        (25.0, 75.0)
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
    """Give the 95 % intervals of the figures of several metrics.

    Args:
        metrics: After ``evaluate``; those that are no :class:`WSOLMetric` are
            left out.
        num: Number of draws.
        seed: Seed of the random numbers.

    Returns:
        Names, with prefix, to low and high end.

    Raises:
        ValueError: If ``num`` is below 1.
    """
    found: dict[str, tuple[float, float]] = {}
    for metric in metrics:
        if isinstance(metric, WSOLMetric):
            for name, values in resample(metric, num, seed).items():
                found[f'{metric.prefix}/{name}'] = interval(values)
    return found


def _pool(
    table: dict[str, np.ndarray], draws: Iterator[np.ndarray]
) -> Iterator[dict[str, np.ndarray]]:
    """Make tables of packed counts, each summed over the drawn images.

    Metrics of counts use nothing but their sums; so each image is unpacked
    once, not once a draw.
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
    """Switch warnings off, those of the log and those of NumPy.

    For repeated evaluations: the first one, on the whole data set, has given
    its warnings already.
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
