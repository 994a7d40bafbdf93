"""Records of metrics: stacked, ranked, averaged and packed."""

import zlib
from collections.abc import Iterable

import numpy as np

from bas_mm.localization.maps import ArrayLike, as_array


def stack_records(records: list[dict], name: str) -> dict[str, np.ndarray]:
    """Stack records of equal fields into one array a field.

    Args:
        records: One an image; a field is a number, an array or bytes.
        name: Name of the metric, for the error.

    Returns:
        From the field to its values, the first axis the image; ``{}`` if
        there are no records.

    Raises:
        ValueError: If the records do not hold the same fields.

    Example:
        >>> stack_records([dict(iou=0.5), dict(iou=1.0)], 'Metric')
        {'iou': array([0.5, 1. ])}
    """
    if not records:
        return {}
    fields = set(records[0])
    for record in records:
        if set(record) != fields:
            raise ValueError(
                f'{name}: some samples carry what others lack (records with '
                f'{sorted(fields)} and with {sorted(record)}): either every '
                'sample or none needs pred_score and gt_label.'
            )
    columns = {k: [r[k] for r in records] for k in records[0]}
    return {
        k: np.array(v, object) if isinstance(v[0], bytes) else np.stack(v)
        for k, v in columns.items()
    }


def topk_labels(scores: ArrayLike, k: int) -> np.ndarray:
    """Find the classes of the ``k`` highest scores, the highest first.

    Of equal scores the lower class comes first. A NaN score is never among
    them. With fewer than ``k`` classes, all of them.

    Args:
        scores: Shape ``(num_classes,)``.
        k: Number of classes.

    Returns:
        Shape ``(min(k, number of scores that are not NaN),)``, int.

    Example:
        >>> topk_labels([0.1, 0.6, 0.3], 2).tolist()
        [1, 2]
    """
    scores = as_array(scores).astype(np.float64).ravel()
    order = np.argsort(-scores, kind='stable')  # NaN sorts last
    return order[~np.isnan(scores[order])][:k]


def class_mean(values: np.ndarray, labels: np.ndarray) -> float:
    """Average within each class, then over the classes that occur.

    Args:
        values: Shape ``(n,)``.
        labels: Shape ``(n,)``, int.

    Returns:
        The mean; NaN for ``n = 0``.

    Example:
        >>> class_mean(np.array([1, 0, 1]), np.array([4, 4, 7]))
        0.75
    """
    if len(values) == 0:
        return float('nan')
    _, index, count = np.unique(labels, return_inverse=True, return_counts=True)
    return float((np.bincount(index, weights=values) / count).mean())


def pack_counts(counts: np.ndarray) -> bytes:
    """Compress counts, such as a histogram, without loss.

    Args:
        counts: Any shape, whole numbers from 0 to 2**32 - 1.

    Example:
        >>> packed = pack_counts(np.zeros((2, 256)))
        >>> len(packed) < 30, unpack_counts([packed], (2, 256)).sum().item()
        (True, 0)
    """
    planes = counts.astype('<u4').ravel().view(np.uint8).reshape(-1, 4)
    return zlib.compress(planes.T.tobytes(), 6)


def unpack_counts(packed: Iterable[bytes], shape: tuple[int, ...]) -> np.ndarray:
    """Add up counts of :func:`pack_counts`.

    Args:
        packed: Any number of them, all of one shape.
        shape: That shape.

    Returns:
        The sum, int64 of that shape.

    Example:
        >>> packed = pack_counts(np.array([1, 2]))
        >>> unpack_counts([packed, packed], (2,)).tolist()
        [2, 4]
    """
    total = np.zeros(shape, np.int64)
    for item in packed:
        planes = np.frombuffer(zlib.decompress(item), np.uint8).reshape(4, -1)
        total += np.ascontiguousarray(planes.T).view('<u4').reshape(shape)
    return total
