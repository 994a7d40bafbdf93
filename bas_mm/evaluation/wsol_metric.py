"""The base of the metrics: samples in, one small record an image, figures."""

import logging
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.dist import get_world_size
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from bas_mm.evaluation.records import stack_records, topk_labels
from bas_mm.evaluation.scores import ScoreFile
from bas_mm.localization import RULES, as_array, get_compare, map_to_bbox

#: The recipe's threshold on CUB-200-2011.
RECIPE_THRESHOLD = 0.15


class WSOLMetric(BaseMetric):
    """A metric that counts every image once.

    A subclass gives :meth:`measure`, one image to a record of a few numbers,
    and :meth:`compute`, the table of all records to the figures. Records
    are small, whatever the map's size, and the table stays on the main
    process in ``self.table`` after ``evaluate``: ``compute`` is a pure
    function of it, so that drawing rows with replacement is a bootstrap.

    Several processes: mmengine's collection interleaves the parts of the
    processes, cuts all of them to the shortest and drops from the end. This
    class gathers whole parts and keeps one record for each pair
    (``sample_idx``, ``img_path``), in the order of that pair, so that padding,
    any sampler and the number of processes leave every figure as it is.
    Samples that carry neither are known by their position alone and are cut
    to ``size``, as mmengine does.

    An image that lacks what a metric needs (no boxes or no mask) is left out
    of that metric and counted under ``left_out`` where there are any.
    Several metrics of one class in an evaluator need a different ``prefix``.

    Args:
        collect_device: ``'cpu'`` or ``'gpu'``, where mmengine gathers records.
        prefix: Prefix of the keys, ``'wsol'`` by default.
    """

    default_prefix = 'wsol'
    #: Key of the number of images that the metric left out.
    left_out = 'num_images_no_box'

    table: dict[str, np.ndarray] | None = None
    results: list[Any]

    @abstractmethod
    def measure(self, sample: dict) -> dict | None:
        """Turn one image into a record; None leaves the image out.

        Args:
            sample: The data sample's fields and metainfo.

        Returns:
            Names to numbers or arrays, of equal shapes in every image.
        """

    @abstractmethod
    def compute(self, table: dict[str, np.ndarray]) -> dict[str, float]:
        """Turn the records of all images, stacked, into the figures.

        Args:
            table: Names to arrays whose first axis is the image.

        Returns:
            Names, without prefix, to figures.
        """

    def last_table(self) -> dict[str, np.ndarray]:
        """Give the table of the last evaluation.

        Raises:
            RuntimeError: If there is none, or no image was in it.
        """
        if not self.table:
            raise RuntimeError(
                f'{type(self).__name__}: no image was evaluated here; call '
                '`evaluate` first, on images that have what it needs (it '
                'works on the main process).'
            )
        return self.table

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        """Measure a batch.

        Args:
            data_batch: Not used.
            data_samples: Data samples, or their fields as dicts.
        """
        for sample in data_samples:
            if hasattr(sample, 'to_dict'):
                sample = sample.to_dict()
            index, path = sample.get('sample_idx'), sample.get('img_path')
            key = None
            if index is not None or path is not None:
                key = (-1 if index is None else int(index), str(path or ''))
            self.results.append((key, self.measure(sample)))

    def evaluate(self, size: int) -> dict:
        """Gather the records of all processes and compute the figures.

        Args:
            size: The number of images of the data set.

        Returns:
            The figures; empty, with a warning, if there was no image.
        """
        self._size = size
        # One item a process: collection neither cuts nor reorders a part.
        self.results = [self.results]
        try:
            return super().evaluate(max(size, get_world_size()))
        finally:
            self.results = []

    def compute_metrics(self, results: list) -> dict:
        """Merge the parts of all processes and compute the figures.

        Args:
            results: Of each process, its pairs of key and record.
        """
        named: dict[tuple[int, str], dict | None] = {}
        nameless: dict[tuple[int, int], dict | None] = {}
        for rank, part in enumerate(results):
            for i, (key, record) in enumerate(part):
                if key is None:
                    nameless[i, rank] = record
                else:
                    named.setdefault(key, record)
        records = [named[key] for key in sorted(named)]
        records += [nameless[key] for key in sorted(nameless)][
            : max(self._size - len(records), 0)
        ]
        name = type(self).__name__
        if len(records) != self._size:
            print_log(
                f'{name}: the data set has {self._size} images, but '
                f'{len(records)} different ones (by sample_idx and img_path) '
                'were evaluated.',
                'current',
                logging.WARNING,
            )
        self.table = stack_records([r for r in records if r is not None], name)
        if self.table:
            metrics = self.compute(self.table)
        else:
            metrics = {}
            print_log(f'{name}: no image to evaluate.', 'current', logging.WARNING)
        missing = sum(r is None for r in records)
        if missing:
            metrics[self.left_out] = missing
        return metrics


def get_field(sample: dict, key: str, metric: object) -> Any:
    """Get a field that a metric cannot do without.

    Args:
        sample: The data sample's fields and metainfo.
        key: Name of the field.
        metric: Named in the error.

    Raises:
        ValueError: If the sample lacks it.

    Example:
        >>> get_field(dict(img_shape=(224, 224)), 'img_shape', metric=None)
        (224, 224)
    """
    if sample.get(key) is None:
        raise ValueError(
            f'{type(metric).__name__} needs {key}, which the data sample of '
            f"{sample.get('img_path', 'an image without img_path')} lacks. "
            'pred_* come from the model, gt_* and img_shape from PackInputs '
            '(algorithm_keys, meta_keys) of the test pipeline.'
        )
    return sample[key]


def get_boxes(sample: dict) -> np.ndarray | None:
    """Get the ground-truth boxes of a sample.

    Returns:
        Shape ``(n, 4)``, float64, ``xyxy`` in pixels of the view; None where
        there are none.

    Raises:
        ValueError: If they are not ``(n, 4)`` or not finite.

    Example:
        >>> get_boxes(dict(gt_bboxes=[[0, 0, 4, 2]])).tolist()
        [[0.0, 0.0, 4.0, 2.0]]
    """
    if sample.get('gt_bboxes') is None:
        return None
    boxes = as_array(sample['gt_bboxes']).astype(np.float64)
    if boxes.size == 0:
        return None
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise ValueError(
            f"gt_bboxes of {sample.get('img_path')} are {boxes.tolist()}: "
            '(n, 4) finite numbers, xyxy in pixels of the view, are needed.'
        )
    return boxes


def get_label(sample: dict) -> np.ndarray | None:
    """Get the ground-truth labels of a sample.

    Returns:
        Shape ``(n,)``, int, one label as a rule; None where there are none.

    Example:
        >>> get_label(dict(gt_label=3)).tolist()
        [3]
    """
    if sample.get('gt_label') is None:
        return None
    labels = as_array(sample['gt_label']).ravel().astype(int)
    return labels if len(labels) else None


def get_mask(sample: dict) -> np.ndarray | None:
    """Get the ground-truth mask of a sample.

    Returns:
        Shape ``(h, w)``, of 0 (background), 1 (foreground) and 255 (ignored);
        None where there is none.

    Raises:
        ValueError: If it is not ``(h, w)`` of these.

    Example:
        >>> get_mask(dict(gt_seg_map=[[[0, 1, 255]]])).tolist()
        [[0, 1, 255]]
    """
    if sample.get('gt_seg_map') is None:
        return None
    mask = as_array(sample['gt_seg_map'])
    if mask.ndim == 3 and 1 in (mask.shape[0], mask.shape[-1]):
        mask = mask.squeeze(0 if mask.shape[0] == 1 else -1)
    if mask.size == 0:
        return None
    if mask.ndim != 2 or not np.isin(mask, (0, 1, 255)).all():
        raise ValueError(
            f"gt_seg_map of {sample.get('img_path')}, shape {mask.shape}, "
            f'holds {np.unique(mask)[:9].tolist()}: (h, w) of 0 (background),'
            ' 1 (foreground) and 255 (ignored) is needed.'
        )
    return mask


class BoxMetric(WSOLMetric):
    """A metric of one box an image, and its class.

    Args:
        threshold: None takes ``pred_bbox`` where a sample carries one, else
            the box of ``pred_map`` at 0.15; a number takes the box of
            ``pred_map`` at that threshold, ``'otsu'`` or ``'auto'`` the box at
            the threshold that this rule gives for each map, see
            :func:`~bas_mm.localization.cut_of`.
        iou_thr: The IoU that makes a box right.
        compare: ``'>'``: the IoU must be above ``iou_thr``; or ``'>='``.
        map_compare: The same for the map and its threshold.
        scores: A file with another model's scores, which replace
            ``pred_score``, see :class:`~bas_mm.evaluation.scores.ScoreFile`.
        collect_device, prefix: See :class:`WSOLMetric`.

    Raises:
        ValueError: For an option outside its range.
    """

    #: Thresholds that have a name.
    named_thresholds: tuple[str, ...] = RULES

    def __init__(
        self,
        threshold: float | str | None = None,
        iou_thr: float = 0.5,
        compare: str = '>',
        map_compare: str = '>',
        scores: str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if not (
            threshold is None
            or threshold in self.named_thresholds
            or isinstance(threshold, (int, float))
            and 0 <= threshold <= 1
        ):
            names = ' or '.join(map(repr, self.named_thresholds))
            raise ValueError(
                f'{type(self).__name__}: threshold={threshold!r} must be None '
                f'(the box of the sample), a number from 0 to 1, or {names}.'
            )
        check_level(iou_thr, 'iou_thr')
        self.threshold = threshold
        self.iou_thr = iou_thr
        self.compare = get_compare(compare)
        get_compare(map_compare, 'map_compare')
        self.map_compare = map_compare
        self.scores = ScoreFile(scores) if scores is not None else None

    def get_box(self, sample: dict, img_shape: Sequence[int]) -> np.ndarray:
        """Give the predicted box of a sample.

        Args:
            sample: The data sample's fields and metainfo.
            img_shape: ``(h, w)`` of the view, in pixels.

        Returns:
            Shape ``(4,)``, ``xyxy`` in pixels of the view.

        Raises:
            ValueError: If the sample has no box and no map, or more than one
                box.
        """
        if self.threshold is None and sample.get('pred_bbox') is not None:
            box = as_array(sample['pred_bbox'])
            if box.size != 4:
                raise ValueError(
                    f"pred_bbox of {sample.get('img_path')} has the shape "
                    f'{box.shape}: one box, (4,), xyxy in pixels of the view, '
                    'is needed.'
                )
            return box.reshape(4)
        threshold = RECIPE_THRESHOLD if self.threshold is None else self.threshold
        return map_to_bbox(
            get_field(sample, 'pred_map', self), img_shape, threshold, self.map_compare
        )

    def get_right(self, sample: dict) -> np.ndarray | None:
        """Check whether the best, and one of the five best classes is right.

        Returns:
            Shape ``(2,)``, bool; None without any scores, or without a label.
        """
        labels = get_label(sample)
        if labels is None:
            return None
        if self.scores is not None:
            top = self.scores[get_field(sample, 'img_path', self)]
        elif sample.get('pred_score') is not None:
            top = topk_labels(sample['pred_score'], 5)
        else:
            return None
        right = np.isin(top, labels)
        return np.array([right[:1].any(), right[:5].any()])


def check_level(level: float, name: str) -> None:
    """Check an IoU level.

    Args:
        level: The level.
        name: Name of the option, for the error.

    Raises:
        ValueError: If it is not from 0 to 1.

    Example:
        >>> check_level(0.5, 'iou_thr')
    """
    if not 0 <= level <= 1:
        raise ValueError(f'{name}={level!r} must be from 0 to 1.')
