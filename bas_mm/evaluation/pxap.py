"""PxAP of the WSOL benchmark."""

import numpy as np

from bas_mm.evaluation.records import pack_counts, unpack_counts
from bas_mm.evaluation.wsol_metric import WSOLMetric, get_field, get_mask
from bas_mm.localization import check_resize, scale_map, threshold_grid
from bas_mm.registry import METRICS


@METRICS.register_module()
class PxAP(WSOLMetric):
    """Pixel average precision over the data set, in percent.

    Choe et al., "Evaluating Weakly Supervised Object Localization Methods
    Right", CVPR 2020. The map comes to the mask's size as in
    :func:`~bas_mm.localization.scale_map`; its values at foreground
    and at background pixels are counted in bins with the edges
    ``arange(0, 1, step)``, 1, 2, 3, pooled over the data set; the figure is
    the sum of precision times the rise of recall from the highest bin down.
    Mask pixels of 255 are ignored. NaN if no mask has foreground.

    What compares with what: the benchmark resizes maps bicubically, to a view
    of the whole image at 224x224. Its published figures, and those of papers
    that ran its code, compare with ``resize='bicubic'`` and a test pipeline
    that resizes to 224x224 and does not crop; figures with the defaults compare
    with each other only. See also :class:`MaxBoxAcc`.

    Keys: ``pxap``, and ``pxap_num_no_mask`` if there are images without a
    mask, which are left out.

    Args:
        step: Width of the bins.
        collect_device, prefix: See :class:`WSOLMetric`.
        resize: How the map comes to the size of the mask, ``'bilinear'`` or
            ``'bicubic'`` (the benchmark's).

    Raises:
        ValueError: If ``step`` is not in (0, 1] or ``resize`` is unknown.
    """

    left_out = 'pxap_num_no_mask'

    def __init__(
        self,
        step: float = 0.001,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        resize: str = 'bilinear',
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        check_resize(resize)
        self.resize = resize
        self.edges = np.append(threshold_grid(step), [1.0, 2.0, 3.0])

    def measure(self, sample: dict) -> dict | None:
        """Count the map's values, at foreground and at background."""
        mask = get_mask(sample)
        if mask is None:
            return None
        scores = scale_map(get_field(sample, 'pred_map', self), mask.shape, self.resize)
        return dict(
            counts=pack_counts(
                np.stack(
                    [np.histogram(scores[mask == x], self.edges)[0] for x in (1, 0)]
                )
            )
        )

    def compute(self, table: dict[str, np.ndarray]) -> dict[str, float]:
        """Compute the figure, see the class."""
        true, false = unpack_counts(table['counts'], (2, len(self.edges) - 1))[
            :, ::-1
        ].cumsum(1)
        if true[-1] == 0:
            return dict(pxap=float('nan'))
        any_ = (true + false > 0)[1:]
        precision = true[1:][any_] / (true + false)[1:][any_]
        rise = np.diff(true / true[-1])[any_]
        return dict(pxap=100 * float((precision * rise).sum()))
