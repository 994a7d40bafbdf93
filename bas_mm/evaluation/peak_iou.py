"""Peak_IoU and Peak_T of SEM."""

import numpy as np

from bas_mm.evaluation.records import pack_counts, unpack_counts
from bas_mm.evaluation.wsol_metric import WSOLMetric, get_field, get_mask
from bas_mm.localization import quantize_map
from bas_mm.registry import METRICS


@METRICS.register_module()
class PeakIoU(WSOLMetric):
    """The highest pixel IoU over all thresholds, in percent.

    Zhang et al., arXiv 2006.05220. The map at the mask's size in 256 levels,
    :func:`~bas_mm.localization.quantize_map`; for each t of 0 to 255
    true and false positives of ``q >= t`` are pooled over all pixels of all
    images. Mask pixels of 255 are ignored.

    Keys: ``peak_iou``; ``peak_t``, the lowest such t, 0 to 255; and
    ``peak_num_no_mask`` if there are images without a mask, which are left
    out. Without any foreground IoU is 0.

    Args:
        collect_device, prefix: See :class:`WSOLMetric`.
    """

    left_out = 'peak_num_no_mask'

    def measure(self, sample: dict) -> dict | None:
        """Count the 256 levels, at foreground and at background."""
        mask = get_mask(sample)
        if mask is None:
            return None
        levels = quantize_map(get_field(sample, 'pred_map', self), mask.shape)
        return dict(
            counts=pack_counts(
                np.stack(
                    [np.bincount(levels[mask == x], minlength=256) for x in (1, 0)]
                )
            )
        )

    @property
    def curve(self) -> np.ndarray:
        """Give :meth:`get_curve` of the last evaluation (main process)."""
        return self.get_curve(self.last_table())

    def get_curve(self, table: dict[str, np.ndarray]) -> np.ndarray:
        """Compute IoU against threshold.

        Args:
            table: The records, see :class:`WSOLMetric`.

        Returns:
            Percent, shape ``(256,)``, for t of 0 to 255.
        """
        counts = table['counts']
        true, false = unpack_counts(counts, (2, 256))[:, ::-1].cumsum(1)[:, ::-1]
        return 100 * true / np.maximum(true[0] + false, 1)

    def compute(self, table: dict[str, np.ndarray]) -> dict[str, float]:
        """Compute the figures, see the class."""
        curve = self.get_curve(table)
        peak = int(curve.argmax())
        return dict(peak_iou=float(curve[peak]), peak_t=peak)
