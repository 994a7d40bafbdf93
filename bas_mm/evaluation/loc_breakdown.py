"""How well the right boxes fit, and accuracy by object size."""

from collections.abc import Sequence

import numpy as np

from bas_mm.evaluation.wsol_metric import BoxMetric, get_boxes, get_field
from bas_mm.localization import best_iou, box_area
from bas_mm.registry import METRICS


@METRICS.register_module()
class LocBreakdown(BoxMetric):
    """IoU of the right boxes (paper, Fig. 8), accuracy by size (Fig. 10).

    Keys, in percent; a bin ``a_b`` is named by its edges in percent:

    - ``iou_median``: median IoU of the boxes that are right (GT-known),
    - ``iou_hist_50_60``, ...: share of them in each bin of ``iou_bins``,
      ``a <= IoU < b``, the last one with its end,
    - ``gt_known_size_0_20``, ...: GT-known of the images whose largest
      ground-truth box takes the share ``a < s <= b`` of the view, and
      ``num_size_0_20``, ..., their number (a box that the crop has left
      without area is in no bin),
    - ``breakdown_num_no_box``, if there are any: images without boxes, which
      are left out.

    A figure over no image is NaN.

    Args:
        iou_bins: Rising edges, 0 to 1.
        size_bins: Rising edges, 0 to 1.
        threshold, iou_thr, compare, map_compare: See :class:`BoxMetric`.
        collect_device, prefix: See :class:`WSOLMetric`.

    Raises:
        ValueError: If edges do not rise from 0 on to 1 at most.
    """

    left_out = 'breakdown_num_no_box'

    def __init__(
        self,
        iou_bins: Sequence[float] = (0.5, 0.6, 0.7, 0.8, 0.9, 1),
        size_bins: Sequence[float] = (0, 0.2, 0.8, 1),
        threshold: float | str | None = None,
        iou_thr: float = 0.5,
        compare: str = '>',
        map_compare: str = '>',
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(
            threshold,
            iou_thr,
            compare,
            map_compare,
            collect_device=collect_device,
            prefix=prefix,
        )
        self.iou_bins = _edges(iou_bins, 'iou_bins')
        self.size_bins = _edges(size_bins, 'size_bins')

    def measure(self, sample: dict) -> dict | None:
        """Find the IoU of the box, and the size of the object."""
        gt_bboxes = get_boxes(sample)
        if gt_bboxes is None:
            return None
        shape = get_field(sample, 'img_shape', self)
        return dict(
            iou=best_iou(self.get_box(sample, shape), gt_bboxes),
            # A box may reach out of the view.
            size=min(box_area(gt_bboxes).max() / (shape[0] * shape[1]), 1),
        )

    def compute(self, table: dict[str, np.ndarray]) -> dict[str, float]:
        """Compute the figures, see the class."""
        right = self.compare(table['iou'], self.iou_thr)
        iou = table['iou'][right]
        nan = float('nan')
        metrics = {'iou_median': 100 * float(np.median(iou)) if len(iou) else nan}
        count = np.histogram(iou, self.iou_bins)[0]
        for name, n in zip(_names(self.iou_bins), count):
            metrics[f'iou_hist_{name}'] = 100 * float(n) / len(iou) if len(iou) else nan
        bins = np.digitize(table['size'], self.size_bins, right=True)
        for i, name in enumerate(_names(self.size_bins), 1):
            inside = right[bins == i]
            metrics[f'gt_known_size_{name}'] = (
                100 * float(inside.mean()) if len(inside) else nan
            )
            metrics[f'num_size_{name}'] = len(inside)
        return metrics


def _edges(bins: Sequence[float], name: str) -> np.ndarray:
    """Check edges of bins, ``(n,)`` float64."""
    edges = np.asarray(bins, np.float64)
    if (
        edges.ndim != 1
        or len(edges) < 2
        or (np.diff(edges) <= 0).any()
        or edges[0] < 0
        or edges[-1] > 1
    ):
        raise ValueError(f'{name}={bins} must be at least two rising numbers, 0 to 1.')
    return edges


def _names(edges: np.ndarray) -> list[str]:
    """Name bins by their edges in percent, such as ``50_60``."""
    return [f'{100 * a:g}_{100 * b:g}' for a, b in zip(edges, edges[1:])]
