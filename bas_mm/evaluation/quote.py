"""The few figures that are quoted, of all that a test gives."""

from collections.abc import Iterator, Mapping
from typing import Any

#: The figures to quote, by their names without the prefix ``wsol/``.
QUOTED = (
    'top1_loc',
    'top5_loc',
    'gt_known',
    'top1_cls',
    'top5_cls',
    'max_box_acc_v2',
    'pxap',
    'peak_iou',
)
#: GT-known Loc of boxes that look at no image: what is above them was learned.
BASELINES = {'gt_known_whole': 'whole view', 'gt_known_center': 'centered box'}

_PREFIX = 'wsol/'


def quoted(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Pick the figures to quote, then the image-independent baselines.

    Args:
        metrics: Names to figures, of a whole test.

    Returns:
        Those that are there, by their full names; all of them where none is
        known here, as of metrics of another package.

    Example:
        >>> quoted({'wsol/iou_median': 70.0, 'wsol/gt_known': 55.0})
        {'wsol/gt_known': 55.0}
        >>> quoted({'accuracy/top1': 90.0})
        {'accuracy/top1': 90.0}
    """
    names = [_PREFIX + name for name in (*QUOTED, *BASELINES)]
    return {k: metrics[k] for k in names if k in metrics} or dict(metrics)


def quote_rows(metrics: Mapping[str, Any]) -> Iterator[list[str]]:
    """Lay the quoted figures out: name, percent, mean over classes, interval.

    Args:
        metrics: Names to figures; ``<name>_cls_mean`` and ``<name>_ci95``, the
            low and high end, are put beside them.

    Yields:
        Texts, empty where there is no such figure.

    Example:
        >>> next(quote_rows({'wsol/gt_known': 55.0, 'wsol/gt_known_ci95': [50, 60]}))
        ['wsol/gt_known', '55.00', '', '50.0 to 60.0']
    """
    for name, value in quoted(metrics).items():
        if not isinstance(value, (int, float)) or name.endswith('_ci95'):
            continue
        mean, ends = metrics.get(f'{name}_cls_mean'), metrics.get(f'{name}_ci95')
        bare = name.removeprefix(_PREFIX)
        note = f' (baseline: {BASELINES[bare]})' if bare in BASELINES else ''
        yield [
            name + note,
            f'{value:.2f}',
            '' if mean is None else f'{mean:.2f}',
            '' if ends is None else f'{ends[0]:.1f} to {ends[1]:.1f}',
        ]


def left_out(metrics: Mapping[str, Any]) -> str:
    """Say in one line what the figures leave out; empty if nothing.

    Example:
        >>> left_out({'wsol/num_images': 9, 'wsol/num_images_no_box': 4,
        ...           'wsol/err_num_no_box': 4, 'wsol/num_images_no_object': 1})
        'Of 9 images, 4 have no box and are left out of the figures of boxes; the \
model found no object in 1 (min_score).'
    """
    kinds = dict(box='of boxes', mask='of masks')
    counts = {
        kind: max(
            (n for name, n in metrics.items() if name.endswith(f'_no_{kind}')),
            default=0,
        )
        for kind in kinds
    }
    parts = [
        f'{count} have no {kind} and are left out of the figures {kinds[kind]}'
        for kind, count in counts.items()
        if count
    ]
    empty = metrics.get(f'{_PREFIX}num_images_no_object')
    if empty is not None:
        parts.append(f'the model found no object in {empty} (min_score)')
    total = metrics.get(f'{_PREFIX}num_images')
    start = 'Images: ' if total is None else f'Of {total} images, '
    return f'{start}{"; ".join(parts)}.' if parts else ''
