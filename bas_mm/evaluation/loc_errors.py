"""Kinds of localization errors."""

import numpy as np

from bas_mm.evaluation.wsol_metric import BoxMetric, get_boxes, get_field
from bas_mm.localization import box_iou, box_overlap
from bas_mm.registry import METRICS


@METRICS.register_module()
class LocErrors(BoxMetric):
    """Kinds of the Top-1 boxes, in percent of the images with boxes.

    Each image is of the first kind that fits, so that they add up to 100:

    1. ``err_cls``: the best class is wrong (never without ``pred_score`` and
       ``gt_label``),
    2. ``err_correct``: the IoU with a ground-truth box is above ``iou_thr``,
    3. ``err_multi`` (M-Ins): more than one ground-truth box, and the box
       covers more than 0.3 of at least two,
    4. ``err_part``: more than 0.5 of the box is in one ground-truth box,
    5. ``err_more``: the box covers at least 0.7 of a ground-truth box,
    6. ``err_other``.

    Areas count the far edge, as everywhere, see
    :func:`~bas_mm.localization.box_overlap`. Images without boxes
    are left out, their number is ``err_num_no_box``.

    Args:
        threshold, iou_thr, compare, map_compare, scores: See
            :class:`BoxMetric`.
        collect_device, prefix: See :class:`WSOLMetric`.
    """

    left_out = 'err_num_no_box'
    KINDS = ('err_cls', 'err_correct', 'err_multi', 'err_part', 'err_more', 'err_other')

    def measure(self, sample: dict) -> dict | None:
        """Find the kind of the image, an index into ``KINDS``."""
        gt_bboxes = get_boxes(sample)
        if gt_bboxes is None:
            return None
        right = self.get_right(sample)
        box = self.get_box(sample, get_field(sample, 'img_shape', self))
        of_box, of_gt = box_overlap(box, gt_bboxes)
        kinds = [
            right is not None and not right[0],
            self.compare(box_iou(box, gt_bboxes), self.iou_thr).any(),
            (of_gt > 0.3).sum() > 1,
            (of_box > 0.5).any(),
            (of_gt >= 0.7).any(),
            True,
        ]
        return dict(kind=np.argmax(kinds))

    def compute(self, table: dict[str, np.ndarray]) -> dict[str, float]:
        """Compute the share of every kind."""
        count = np.bincount(table['kind'], minlength=len(self.KINDS))
        share = 100 * count / count.sum()
        return dict(zip(self.KINDS, share.tolist()))
