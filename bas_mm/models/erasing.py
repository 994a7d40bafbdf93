"""Which places of an attention map are kept, and which are erased."""

import torch


def keep_below(
    attention: torch.Tensor, threshold: float, relative: str = 'max'
) -> torch.Tensor:
    """Keep the places of a map that are below a share of its maximum.

    What ADL (CVPR 2019, Sec. 3.1), EIL (CVPR 2020) and ACoL (CVPR 2018,
    Sec. 3.2) erase is the rest. The comparison is strict.

    Args:
        attention: Shape ``(B, 1, h, w)``.
        threshold: The share, of each image's own map.
        relative: What it is a share of. ``'max'``: the maximum; the result
            does not change when a map is multiplied by a positive number. A
            constant positive map is erased as a whole, and nothing is of one
            without positive values. ``'range'``: from the minimum (0) to the
            maximum (1), so that an added number changes nothing either; a
            constant map counts as 0 everywhere. It suits features that no
            ReLU went over.

    Returns:
        True where to keep, ``(B, 1, h, w)`` bool.

    Raises:
        ValueError: For another ``relative``.

    Example:
        >>> keep_below(torch.tensor([[[[1.0, 2.0, 4.0]]]]), 0.5).flatten().tolist()
        [True, False, False]
        >>> x = torch.tensor([[[[-3.0, -2.0, 1.0]]]])
        >>> keep_below(x, 0.5, relative='range').flatten().tolist()
        [True, True, False]
    """
    peak = attention.amax((2, 3), keepdim=True)
    if relative == 'max':
        return attention < threshold * peak
    if relative != 'range':
        raise ValueError(
            f"`relative` must be 'max' (of the maximum) or 'range' (between minimum "
            f'and maximum), got {relative!r}.'
        )
    low = attention.amin((2, 3), keepdim=True)
    spread = peak - low
    level = (attention - low) / spread.where(spread > 0, torch.ones_like(spread))
    return level < threshold
