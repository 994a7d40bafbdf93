"""MaxBoxAcc and MaxBoxAccV2 of the WSOL benchmark."""

import numpy as np

from bas_mm.evaluation.wsol_metric import WSOLMetric, get_boxes, get_field
from bas_mm.localization import check_resize, sweep_contours, threshold_grid
from bas_mm.registry import METRICS

LEVELS = (0.3, 0.5, 0.7)


@METRICS.register_module()
class MaxBoxAcc(WSOLMetric):
    """Box accuracy at the data set's best threshold, in percent.

    Choe et al., "Evaluating Weakly Supervised Object Localization Methods
    Right", CVPR 2020. Map, masks, contours and boxes as in
    :func:`~bas_mm.localization.sweep_contours`; a box is right
    from the IoU on (``>=``). The threshold is one for all images, the lowest
    of the best.

    What compares with what: the benchmark resizes maps bicubically, to a view
    of the whole image at 224x224. Its published figures, and those of papers
    that ran its code, compare with ``resize='bicubic'`` and a test pipeline
    that resizes to 224x224 and does not crop. With the defaults (bilinear, and
    the view of the sample's ``img_shape``, a center crop in the configs of
    this project) figures compare with each other only; the way of resizing
    alone moves them by some tenths of a percent, sometimes by more than one.

    Keys:

    - ``max_box_acc``: V1, the contour of largest area, IoU 0.5,
    - ``max_box_acc_v2_iou30``, ``_iou50``, ``_iou70``: the best of all
      contours at one IoU level, each at its own threshold,
    - ``max_box_acc_v2``: the mean of these three,
    - the same, without ``max_box_acc_v2``, with ``_t``: the threshold, 0 to
      1,
    - ``max_box_acc_num_no_box``, if there are any: images left out.

    Args:
        step: Between thresholds, ``arange(0, 1, step)``.
        collect_device, prefix: See :class:`WSOLMetric`.
        resize: How the map comes to the size of the view, ``'bilinear'`` or
            ``'bicubic'`` (the benchmark's).

    Raises:
        ValueError: If ``step`` is not in (0, 1] or ``resize`` is unknown.
    """

    left_out = 'max_box_acc_num_no_box'
    NAMES = ('max_box_acc', *(f'max_box_acc_v2_iou{100 * x:g}' for x in LEVELS))

    def __init__(
        self,
        step: float = 0.01,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        resize: str = 'bilinear',
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.thresholds = threshold_grid(step)
        check_resize(resize)
        self.resize = resize

    def measure(self, sample: dict) -> dict | None:
        """Find at which thresholds the image is right, as bits."""
        gt_bboxes = get_boxes(sample)
        if gt_bboxes is None:
            return None
        largest, best = sweep_contours(
            get_field(sample, 'pred_map', self),
            get_field(sample, 'img_shape', self),
            gt_bboxes,
            self.thresholds,
            self.resize,
        )
        hits = np.stack([largest >= 0.5, *(best >= x for x in LEVELS)])
        return dict(hits=np.packbits(hits, axis=1))

    @property
    def curve(self) -> dict[str, np.ndarray]:
        """Give :meth:`get_curve` of the last evaluation (main process)."""
        return self.get_curve(self.last_table())

    def get_curve(self, table: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Compute accuracy against threshold.

        Args:
            table: The records, see :class:`WSOLMetric`.

        Returns:
            ``thresholds`` and, for each of ``NAMES``, percent, ``(t,)``.
        """
        hits = table['hits']
        # Image by image in blocks: all bits at once would not be small.
        count = sum(
            np.unpackbits(block, axis=2, count=len(self.thresholds)).sum(
                0, dtype=np.int64
            )
            for block in np.array_split(hits, max(len(hits) // 256, 1))
        )
        return dict(
            thresholds=self.thresholds, **dict(zip(self.NAMES, 100 * count / len(hits)))
        )

    def compute(self, table: dict[str, np.ndarray]) -> dict[str, float]:
        """Compute the figures, see the class."""
        curve = self.get_curve(table)
        metrics = {}
        for name in self.NAMES:
            best = int(curve[name].argmax())
            metrics[name] = float(curve[name][best])
            metrics[f'{name}_t'] = float(self.thresholds[best])
        metrics['max_box_acc_v2'] = float(
            np.mean([metrics[name] for name in self.NAMES[1:]])
        )
        return metrics
