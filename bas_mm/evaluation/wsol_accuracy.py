"""Top-1, Top-5 and GT-known localization accuracy."""

import logging
from collections.abc import Sequence

import numpy as np
from mmengine.logging import print_log

from bas_mm.evaluation.records import class_mean
from bas_mm.evaluation.wsol_metric import (
    BoxMetric,
    check_level,
    get_boxes,
    get_field,
    get_label,
)
from bas_mm.localization import (
    RULES,
    as_array,
    box_iou,
    center_box,
    sweep_largest,
    whole_box,
)
from bas_mm.registry import METRICS


@METRICS.register_module()
class WSOLAccuracy(BoxMetric):
    """Localization and classification accuracy of the recipe, in percent.

    An image is localized (GT-known) if its box overlaps one of its
    ground-truth boxes by more than ``iou_thr``; Top-1 and Top-5 Loc ask for
    the right class among the one or five best as well. Extents count the
    far edge, see :func:`~bas_mm.localization.box_iou`; the box comes from
    the map as in :func:`~bas_mm.localization.map_to_bbox`.

    Keys, each also with ``_cls_mean``, the mean of the accuracies of the
    classes that occur (the paper's figure), except the last three:

    - ``top1_cls``, ``top5_cls`` over all images,
    - ``top1_loc``, ``top5_loc``, ``gt_known`` over the images with boxes,
      and again with ``_iou30``, ``_iou70`` for the other ``iou_thrs``,
    - ``gt_known_whole``, ``gt_known_center``: GT-known of two
      image-independent baselines, the whole view and a centered box,
    - ``threshold``, with ``threshold='best'`` only, not in percent,
    - ``num_images``, and ``num_images_no_box`` if there are any: images
      without ground-truth boxes, left out of all but ``top*_cls``.

    A ground-truth box that the crop has left without area stays and cannot
    be hit. Without ``pred_score`` (and ``scores``), or without ``gt_label``,
    only ``gt_known*`` are given; without any box only ``top*_cls``, with a
    warning. ``_cls_mean`` needs ``gt_label``.

    With ``min_score`` an image whose best score is lower has no object: it is
    not localized, and ``num_images_no_object`` counts such images.

    Args:
        threshold: As in :class:`BoxMetric`, or ``'best'``, which takes the
            one of 0, 0.01, ..., 1 with the highest ``gt_known``, of equal
            ones the lowest (chosen with the ground truth: for analysis).
        iou_thr, compare, map_compare, scores: See :class:`BoxMetric`.
        iou_thrs: Levels that are reported beside ``iou_thr``.
        center_side: Side of the centered box, as a share of the view's.
        collect_device, prefix: See :class:`WSOLMetric`.
        min_score: 0 to 1; None finds an object in every image.

    Raises:
        ValueError: For an option outside its range.
    """

    named_thresholds = (*RULES, 'best')

    def __init__(
        self,
        threshold: float | str | None = None,
        iou_thr: float = 0.5,
        compare: str = '>',
        iou_thrs: Sequence[float] = (0.3, 0.5, 0.7),
        map_compare: str = '>',
        center_side: float = 0.7,
        scores: str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        min_score: float | None = None,
    ) -> None:
        self.best = threshold == 'best'
        super().__init__(
            None if self.best else threshold,
            iou_thr,
            compare,
            map_compare,
            scores,
            collect_device,
            prefix,
        )
        for level in iou_thrs:
            check_level(level, 'iou_thrs')
        self.levels = np.array(
            [iou_thr, *(t for t in iou_thrs if t != iou_thr)], np.float64
        )
        if min_score is not None:
            check_level(min_score, 'min_score')
        self.min_score = min_score
        center_box((1, 1), center_side)
        self.center_side = center_side
        self.thresholds = np.arange(101) / 100 if self.best else np.zeros(1)

    def measure(self, sample: dict) -> dict:
        """Find what is right of the image, as bits."""
        record: dict = {}
        labels = get_label(sample)
        if labels is not None:
            record['label'] = labels[0]
        right = self.get_right(sample)
        if right is not None:
            record['cls'] = right
        gt_bboxes = get_boxes(sample)
        record['has_box'] = gt_bboxes is not None
        iou = np.zeros(len(self.thresholds) + 2)
        if gt_bboxes is not None:
            shape = get_field(sample, 'img_shape', self)
            if self.best:
                boxes = sweep_largest(
                    get_field(sample, 'pred_map', self),
                    shape,
                    self.thresholds,
                    self.map_compare,
                )
            else:
                boxes = self.get_box(sample, shape)[None]
            baselines = [whole_box(shape), center_box(shape, self.center_side)]
            iou = box_iou(np.concatenate([boxes, baselines]), gt_bboxes).max(1)
        hits = self.compare(iou[None], self.levels[:, None]) & record['has_box']
        if self.min_score is not None:
            scores = as_array(get_field(sample, 'pred_score', self))
            record['empty'] = bool(scores.max() < self.min_score)
            hits[:, : len(self.thresholds)] &= not record['empty']
        record['hits'] = np.packbits(hits, axis=1)  # (levels, thresholds + 2) bits
        return record

    def compute(self, table: dict[str, np.ndarray]) -> dict[str, float]:
        """Compute the figures, see the class."""
        labels, has_box, cls = table.get('label'), table['has_box'], table.get('cls')
        metrics: dict[str, float] = {}
        if cls is None:
            print_log(
                f"WSOLAccuracy: the samples carry no "
                f"{'gt_label' if labels is None else 'pred_score'}; only the "
                'gt_known figures are given.',
                'current',
                logging.WARNING,
            )
        else:
            metrics |= _shares('top1_cls', cls[:, 0], labels)
            metrics |= _shares('top5_cls', cls[:, 1], labels)
        if has_box.any():
            metrics |= self._box_figures(
                table['hits'][has_box],
                None if labels is None else labels[has_box],
                None if cls is None else cls[has_box],
            )
        else:
            print_log(
                'WSOLAccuracy: no image has ground-truth boxes (gt_bboxes); '
                'only the classification figures are given.',
                'current',
                logging.WARNING,
            )
        metrics['num_images'] = len(has_box)
        if 'empty' in table:
            metrics['num_images_no_object'] = int(table['empty'].sum())
        if not has_box.all():
            metrics[self.left_out] = int((~has_box).sum())
        return metrics

    def _box_figures(
        self, bits: np.ndarray, labels: np.ndarray | None, cls: np.ndarray | None
    ) -> dict[str, float]:
        """Compute the figures of the images with boxes.

        Args:
            bits: The ``hits`` of the records.
            labels: Shape ``(n,)``.
            cls: Shape ``(n, 2)``, see :meth:`BoxMetric.get_right`.
        """
        metrics: dict[str, float] = {}
        num = len(self.thresholds)
        hits = np.unpackbits(bits, axis=2, count=num + 2).astype(bool)
        index = int(hits[:, 0, :num].sum(0).argmax())
        for level, right in zip(self.levels, hits[:, :, index].T):
            suffix = '' if level == self.levels[0] else f'_iou{100 * level:g}'
            if cls is not None:
                metrics |= _shares(f'top1_loc{suffix}', right & cls[:, 0], labels)
                metrics |= _shares(f'top5_loc{suffix}', right & cls[:, 1], labels)
            metrics |= _shares(f'gt_known{suffix}', right, labels)
        metrics |= _shares('gt_known_whole', hits[:, 0, num], labels)
        metrics |= _shares('gt_known_center', hits[:, 0, num + 1], labels)
        if self.best:
            metrics['threshold'] = float(self.thresholds[index])
        return metrics


def _shares(
    name: str, right: np.ndarray, labels: np.ndarray | None
) -> dict[str, float]:
    """Give the share of right images, over all and as the mean over classes."""
    shares = {name: 100 * float(right.mean())}
    if labels is not None:
        shares[f'{name}_cls_mean'] = 100 * class_mean(right, labels)
    return shares
