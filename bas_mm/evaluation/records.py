"""Small things that records of metrics are made of."""

import zlib
from collections.abc import Sequence

import numpy as np

from bas_mm.localization.maps import ArrayLike, as_array


def stack_records(records: list[dict], name: str) -> dict[str, np.ndarray]:
    """Stack equal records; ``{}`` if there are none.

    Raises:
        ValueError: If the records do not hold the same fields.
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
    """Classes of the ``k`` highest scores, the highest first.

    Of equal scores the lower class comes first. A NaN score is never among
    them. With fewer than ``k`` classes, all of them.

    Args:
        scores: Shape ``(num_classes,)``.
        k: Number of classes.

    Returns:
        Shape ``(min(k, number of scores that are not NaN),)``, int.
    """
    scores = as_array(scores).astype(np.float64).ravel()
    order = np.argsort(-scores, kind='stable')  # NaN sorts last
    return order[~np.isnan(scores[order])][:k]


def class_mean(values: np.ndarray, labels: np.ndarray) -> float:
    """Mean over the classes that occur of the mean within each class.

    Args:
        values: Shape ``(n,)``.
        labels: Shape ``(n,)``, int.

    Returns:
        The mean; NaN for ``n = 0``.
    """
    if len(values) == 0:
        return float('nan')
    _, index, count = np.unique(labels, return_inverse=True, return_counts=True)
    return float((np.bincount(index, weights=values) / count).mean())


def pack_counts(counts: np.ndarray) -> bytes:
    """Compress counts, such as a histogram, without loss."""
    planes = counts.astype('<u4').ravel().view(np.uint8).reshape(-1, 4)
    return zlib.compress(np.ascontiguousarray(planes.T), 6)


def unpack_counts(packed: Sequence[bytes], shape: tuple[int, ...]) -> np.ndarray:
    """Sum of counts of :func:`pack_counts`, int64 of the given shape."""
    total = np.zeros(shape, np.int64)
    for item in packed:
        planes = np.frombuffer(zlib.decompress(item), np.uint8).reshape(4, -1)
        total += np.ascontiguousarray(planes.T).view('<u4').reshape(shape)
    return total
