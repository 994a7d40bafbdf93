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
            constant map that is not negative is erased as a whole, zeros too, and
            nothing is of one whose maximum is below 0. ``'range'``: from the
            minimum (0) to the maximum (1), so that an added number changes nothing
            either; a constant map counts as 0 everywhere. It suits features that
            no ReLU went over.

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


def attentive_erasing(
    attention: torch.Tensor,
    generator: torch.Generator | None = None,
    rate: float = 0.5,
    depth: float = 0.5,
    margin: int = 4,
) -> torch.Tensor:
    """Erase places around the peaks of some attention maps at random.

    ORNet's (Xie et al., ICCV 2021). The attention is first drawn into 0.2 to
    0.8. The area of a map is what lies above its maximum less a share of its
    range, and not further from its peak than two half sides. These are whole
    cells, from ``margin`` to half of the height and of the width of all that is
    so high, and ``margin`` where that is less. A place ``a`` of the area stays
    with the probability ``1 - a``.

    Args:
        attention: Values in [0, 1], ``(B, 1, h, w)``.
        generator: Of the random numbers, on the device of the attention.
        rate: Probability of an image to be erased in.
        depth: The share is drawn from 0 to this, once for a batch.
        margin: Smallest half side of an area, in cells.

    Returns:
        The drawn attention, 0 where it is erased, ``(B, 1, h, w)``; no gradient
        comes back from there. A constant map keeps all.

    Example:
        >>> attentive_erasing(torch.tensor([[[[0.0, 1.0]]]]), rate=0.0)
        tensor([[[[0.2000, 0.8000]]]])
    """
    a = 0.6 * attention + 0.2
    (b, _, h, w), fixed = a.shape, a.detach()

    def draw(*size: int) -> torch.Tensor:
        return torch.rand(size, generator=generator, device=a.device)

    share, chosen, sides, stay = depth * draw(1), draw(b), draw(b, 2), draw(b, 1, h, w)
    peak, low = fixed.amax((2, 3), keepdim=True), fixed.amin((2, 3), keepdim=True)
    high = fixed > peak - (peak - low) * share
    at = fixed.flatten(1).argmax(1)
    area = high & (chosen < rate).view(b, 1, 1, 1)
    for axis, centers, side in ((2, at // w, sides[:, 0]), (3, at % w, sides[:, 1])):
        cells = torch.arange(a.shape[axis], device=a.device)
        # of rows, then of columns: which hold something high, and how far they reach
        there = high.any(5 - axis).flatten(1)
        first = cells.where(there, len(cells)).amin(1)
        most = ((cells.where(there, -1).amax(1) - first + 1) // 2).clamp(min=margin)
        half = margin + (side * (most - margin + 1)).floor()
        near = (cells - centers[:, None]).abs() <= half[:, None]
        area = area & near.view((b, 1, -1, 1) if axis == 2 else (b, 1, 1, -1))
    return a * ~(area & (stay >= 1 - fixed))
