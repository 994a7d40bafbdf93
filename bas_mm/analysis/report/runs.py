"""Columns of a report: runs and baselines, their figures and intervals."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from bas_mm.evaluation import (
    LocBreakdown,
    LocErrors,
    MapDump,
    MaxBoxAcc,
    PeakIoU,
    PxAP,
    WSOLAccuracy,
    interval,
    resample,
)
from bas_mm.localization import center_box, whole_box

WHOLE, CENTER = 'whole view', 'centered box'
COLORS = ('#2f6db3', '#d9781a', '#3a8f4d', '#8a55a8', '#b23a48', '#4a9aa5')
GRAYS = {WHOLE: '#b0b0b0', CENTER: '#707070'}


@dataclass
class Suite:
    """The metrics of a report; names of fields are names of groups of figures."""

    accuracy: WSOLAccuracy = field(default_factory=WSOLAccuracy)
    best: WSOLAccuracy = field(
        default_factory=partial(WSOLAccuracy, 'best', prefix='wsol_best')
    )
    max_box_acc: MaxBoxAcc = field(default_factory=MaxBoxAcc)
    pxap: PxAP = field(default_factory=PxAP)
    peak: PeakIoU = field(default_factory=PeakIoU)
    errors: LocErrors = field(default_factory=LocErrors)
    breakdown: LocBreakdown = field(default_factory=LocBreakdown)


class Column:
    """What one way to localize gives on the images of a report.

    Args:
        name: Name of the column.
        color: Its color in plots.

    Attributes:
        suite: The metrics, after :meth:`evaluate`.
        groups: Names of the figures of each metric, by its field in the suite.
        figures: All figures by name, with prefix.
        resampled: The figures again on resampled images, ``(num,)`` each.
        has: Which images have boxes, and masks, ``(n, 2)`` bool.
    """

    def __init__(self, name: str, color: str) -> None:
        self.name = name
        self.color = color
        self.suite = Suite()
        self.groups: dict[str, list[str]] = {}
        self.figures: dict[str, float] = {}
        self.resampled: dict[str, np.ndarray] = {}
        self.has = np.zeros((0, 2), bool)

    def samples(self) -> Iterator[dict]:
        """Give the samples, as the metrics take them."""
        raise NotImplementedError

    def evaluate(self, num: int, seed: int) -> None:
        """Compute all figures, and again on ``num`` resamples of the images."""
        has = []
        for sample in self.samples():
            has.append([sample.get(k) is not None for k in ('gt_bboxes', 'gt_seg_map')])
            for metric in vars(self.suite).values():
                metric.process({}, [sample])
        self.has = np.array(has)
        for name, metric in vars(self.suite).items():
            figures = metric.evaluate(len(has))
            self.groups[name] = list(figures)
            self.figures.update(figures)
            if num:
                for key, values in resample(metric, num, seed).items():
                    self.resampled[f'{metric.prefix}/{key}'] = values

    def value(self, key: str) -> float:
        """Give a figure; NaN if there is none of the name."""
        return self.figures.get(key, float('nan'))

    def text(self, key: str, digits: int = 1) -> str:
        """Write a figure."""
        return format_figure(key, self.value(key), digits)


class Run(Column):
    """A dump of a test.

    Args:
        name: Name of the column.
        color: Its color in plots.
        dump: The dump.
        images: Names of the images to evaluate, in order.
    """

    def __init__(
        self, name: str, color: str, dump: MapDump, images: Sequence[str]
    ) -> None:
        super().__init__(name, color)
        self.dump = dump
        self.images = images

    def samples(self) -> Iterator[dict]:
        """Give the samples of the dump."""
        return self.dump.samples(self.images)

    def text(self, key: str, digits: int = 1) -> str:
        """Write a figure; one in percent with its interval."""
        text = super().text(key, digits)
        if key in self.resampled and text != '–' and not is_setting(key):
            low, high = interval(self.resampled[key])
            text += f' [{low:.1f}, {high:.1f}]'
        return text


class Baseline(Column):
    """An image-independent box, evaluated as if it were a map; has no class.

    Args:
        name: ``WHOLE`` or ``CENTER``.
        run: The run on whose images it is evaluated.
    """

    def __init__(self, name: str, run: Run) -> None:
        super().__init__(name, GRAYS[name])
        self.run = run

    def samples(self) -> Iterator[dict]:
        """Give the samples of the run with this map and box instead."""
        for sample in self.run.samples():
            sample.pop('pred_score', None)
            mask, box = baseline_map(self.name, sample['img_shape'])
            yield dict(sample, pred_map=mask, pred_bbox=box)


def baseline_map(name: str, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Give an image-independent box as a map and as a box.

    Args:
        name: ``WHOLE`` or ``CENTER``.
        size: ``(h, w)`` of the view.

    Returns:
        The map, of the size, float32; and the box, ``(4,)``, ``xyxy`` in pixels
        of the view.

    Example:
        >>> baseline_map(CENTER, (1, 4))[0].tolist()
        [[0.0, 1.0, 1.0, 0.0]]
    """
    if name == WHOLE:
        mask, box = np.ones(size, np.float32), whole_box(size)
        mask[0, 0] = 0  # a constant map would have no box
    else:
        mask, box = np.zeros(size, np.float32), center_box(size)
        x0, y0, x1, y1 = np.round(box).astype(int)
        mask[y0:y1, x0:x1] = 1
    return mask, box


def is_setting(key: str) -> bool:
    """Whether a figure is no percentage but a count or a threshold.

    Example:
        >>> is_setting('wsol/num_images'), is_setting('wsol/top1_loc')
        (True, False)
    """
    return 'num_' in key or key.endswith(('_t', 'threshold'))


def format_figure(key: str, value: float, digits: int = 1) -> str:
    """Write a figure as its name asks for; NaN as a dash.

    Example:
        >>> format_figure('wsol/peak_t', 80), format_figure('wsol/pxap', 48.31)
        ('80', '48.3')
    """
    if np.isnan(value):
        return '–'
    if is_setting(key):
        digits = 0 if 'num_' in key or key.endswith('peak_t') else 2
    return f'{value:.{digits}f}'


def load_runs(
    paths: Sequence[str], names: Sequence[str]
) -> tuple[list[Run], list[str], str]:
    """Open dumps of tests on one data set.

    Args:
        paths: The dumps.
        names: Their names in the report.

    Returns:
        The runs, the names of the images that all have, and a sentence on
        those that were left out, empty if there are none.

    Raises:
        FileNotFoundError: If a path is no finished dump.
        ValueError: If they share no image, or disagree about a label.
    """
    dumps = [MapDump(path) for path in paths]
    images = [x for x in dumps[0].entries if all(x in dump.entries for dump in dumps)]
    sizes = ', '.join(f'{len(d)} ({name})' for d, name in zip(dumps, names))
    if not images:
        examples = ', '.join(repr(next(iter(d.entries), 'nothing')) for d in dumps)
        raise ValueError(
            f'The runs share no image, by name: they hold {sizes}, such as '
            f'{examples}. Reports are of runs on one data set; names are '
            'paths below --data-root.'
        )
    for image in images:
        labels = {str(dump.entries[image].get('labels')) for dump in dumps}
        if len(labels) > 1:
            raise ValueError(
                f'The runs disagree about the label of {image!r} '
                f'({sorted(labels)}): they are of different data sets.'
            )
    note = ''
    if any(len(dump) > len(images) for dump in dumps):
        note = (
            f'Not the same images: the runs hold {sizes}. All figures '
            f'are on the {len(images)} that they share.'
        )
    runs = [
        Run(name, COLORS[i % len(COLORS)], dump, images)
        for i, (name, dump) in enumerate(zip(names, dumps))
    ]
    return runs, images, note


def gap(column: Column, other: Column, key: str) -> tuple[float, float, float]:
    """Give the difference of a figure of two columns.

    Args:
        column: One.
        other: What is subtracted from it.
        key: Name of the figure.

    Returns:
        The difference, and the ends of its paired 95 % interval; these are NaN
        where the two have no resamples of the same images.

    Example:
        >>> a, b = Column('a', 'red'), Column('b', 'blue')
        >>> a.figures, b.figures = {'wsol/pxap': 50.0}, {'wsol/pxap': 48.5}
        >>> gap(a, b, 'wsol/pxap')
        (1.5, nan, nan)
    """
    value = column.value(key) - other.value(key)
    ours, theirs = column.resampled.get(key), other.resampled.get(key)
    if ours is None or theirs is None or not np.array_equal(column.has, other.has):
        return value, float('nan'), float('nan')
    return value, *interval(ours - theirs)


def difference(column: Column, other: Column, key: str) -> tuple[str, str]:
    """Compare a figure of two columns.

    Args:
        column: One.
        other: What is subtracted from it.
        key: Name of the figure.

    Returns:
        The difference, with its paired interval if both are on the same
        images; and what the interval means, empty without one.

    Example:
        >>> a, b = Column('a', 'red'), Column('b', 'blue')
        >>> a.figures, b.figures = {'wsol/pxap': 50.0}, {'wsol/pxap': 48.5}
        >>> difference(a, b, 'wsol/pxap')
        ('+1.5', '')
    """
    value, low, high = gap(column, other, key)
    if np.isnan(value):
        return '–', ''
    text = f'{value:+.1f}'
    if np.isnan(low):
        return text, ''
    sure = low > 0 or high < 0
    return (
        f'{text} [{low:+.1f}, {high:+.1f}]',
        'more than chance' if sure else 'not distinguishable: the interval holds 0',
    )
