"""Maps: reading, resizing, normalizing and cutting them."""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import torch

#: A map, a mask or boxes, as callers hand them over.
ArrayLike = np.ndarray | torch.Tensor | Sequence[Any]

COMPARE: dict[str, Callable[..., np.ndarray]] = {
    '>': np.greater,
    '>=': np.greater_equal,
}
#: Rules that find the cut of each map in the map itself, see :func:`cut_of`.
RULES = ('otsu', 'auto')
#: What ``'auto'`` takes of Otsu's cut: of the shares compared over data sets,
#: methods and seeds (docs/calibration.md) the one that loses least.
AUTO_SHARE = 0.65
RESIZE = dict(bilinear=cv2.INTER_LINEAR, bicubic=cv2.INTER_CUBIC)


def get_compare(compare: str, option: str = 'compare') -> Callable[..., np.ndarray]:
    """Look up the comparison ``'>'`` or ``'>='``.

    Args:
        compare: ``'>'`` (strictly above) or ``'>='``.
        option: Name of the option, for the error.

    Raises:
        ValueError: For any other value.

    Example:
        >>> get_compare('>')(0.5, 0.5).item()
        False
    """
    if compare not in COMPARE:
        raise ValueError(
            f'{option}={compare!r} is not a comparison: set {option} to one '
            f'of {sorted(COMPARE)}.'
        )
    return COMPARE[compare]


def as_array(x: ArrayLike) -> np.ndarray:
    """Give a NumPy view (or copy) of a tensor, an array or nested lists.

    Example:
        >>> as_array(torch.ones(2, dtype=torch.bfloat16)).dtype
        dtype('float32')
    """
    if isinstance(x, torch.Tensor):
        x = x.detach().cpu()
        return (x.float() if x.dtype == torch.bfloat16 else x).numpy()
    return np.asarray(x)


def as_map(pred_map: ArrayLike) -> np.ndarray:
    """Check a map; ``float32`` or ``float64`` stays, the rest is promoted.

    Raises:
        ValueError: If it is not two-dimensional.

    Example:
        >>> as_map([[0, 255]]).dtype
        dtype('float64')
    """
    array = as_array(pred_map)
    if array.ndim != 2:
        raise ValueError(
            f'pred_map has the shape {tuple(array.shape)}; one map of shape '
            '(h, w) is needed: select or average the channels first.'
        )
    if array.dtype == np.float32 or array.dtype == np.float64:
        return array
    # Integers in float64: there 255 * (k / 255) gives k back.
    return array.astype(np.float32 if array.dtype.kind == 'f' else np.float64)


def as_size(size: Sequence[int], name: str) -> tuple[int, int]:
    """Check a size, ``(h, w)``; what follows the two is left out.

    Args:
        size: Height and width, in pixels.
        name: What it is, for the error.

    Raises:
        ValueError: If it is not two positive numbers.

    Example:
        >>> as_size((4.0, 6.0, 3), 'size')
        (4, 6)
    """
    numbers = tuple(int(s) for s in size[:2])
    if len(numbers) != 2 or min(numbers) < 1:
        raise ValueError(f'{name}={numbers} is not (h, w) with both above 0.')
    return numbers


def normalize_map(pred_map: ArrayLike) -> np.ndarray:
    """Min-max normalize a map to [0, 1].

    ``(m - min(m)) / max(m - min(m))`` in the map's own precision. A map
    without any contrast gives zeros: a constant one, and one that holds any
    NaN or infinite value. An empty map stays empty.

    Args:
        pred_map: Shape ``(h, w)``, any range.

    Returns:
        Shape ``(h, w)``, float32 (float64 for float64 or integer maps).

    Raises:
        ValueError: If ``pred_map`` is not two-dimensional.

    Example:
        >>> normalize_map([[2, 3], [4, 6]]).tolist()
        [[0.0, 0.25], [0.5, 1.0]]
    """
    array = as_map(pred_map)
    if array.size == 0:
        return array
    with np.errstate(all='ignore'):
        array = array - array.min()
        peak = array.max()
    if not np.isfinite(peak) or peak <= 0:  # a NaN reaches min and max
        return np.zeros_like(array)
    return array / peak


def check_resize(resize: str) -> None:
    """Check how maps are to be resized, see :func:`resize_map`.

    Raises:
        ValueError: If it is neither ``'bilinear'`` nor ``'bicubic'``.

    Example:
        >>> check_resize('bicubic')
    """
    if resize not in RESIZE:
        raise ValueError(
            f'resize={resize!r} is not a way to resize maps: set resize to '
            f'one of {sorted(RESIZE)}.'
        )


def resize_map(
    pred_map: ArrayLike, size: Sequence[int], resize: str = 'bilinear'
) -> np.ndarray:
    """Resize a map, pixel centers at halves, no antialias.

    ``'bilinear'`` is the same as ``F.interpolate(..., mode='bilinear',
    align_corners=False)`` up to rounding, ``'bicubic'`` is OpenCV's. A map
    that has the size already is returned untouched, an empty map as zeros.

    Args:
        pred_map: Shape ``(h, w)``.
        size: ``(h, w)`` of the result.
        resize: ``'bilinear'`` or ``'bicubic'``.

    Raises:
        ValueError: If ``pred_map`` is not two-dimensional, ``size`` is not
            two positive numbers or ``resize`` is unknown.

    Example:
        >>> resize_map([[0, 4]], (1, 4)).tolist()
        [[0.0, 1.0, 3.0, 4.0]]
    """
    check_resize(resize)
    array = as_map(pred_map)
    size = as_size(size, 'size')
    if array.shape == size:
        return array
    if array.size == 0:
        return np.zeros(size, array.dtype)
    return cv2.resize(
        np.ascontiguousarray(array), size[::-1], interpolation=RESIZE[resize]
    )


def view_map(pred_map: ArrayLike, img_shape: Sequence[int]) -> np.ndarray:
    """Bring a map to the view as the recipe does.

    Min-max normalize at the map's own resolution, then resize bilinearly.

    Args:
        pred_map: Shape ``(h, w)``, any range and resolution.
        img_shape: ``(h, w)`` of the view, in pixels.

    Returns:
        Shape ``img_shape``, values in [0, 1].

    Example:
        >>> view_map([[1, 3]], (1, 4)).tolist()
        [[0.0, 0.25, 0.75, 1.0]]
    """
    return resize_map(normalize_map(pred_map), as_size(img_shape, 'img_shape'))


def scale_map(
    pred_map: ArrayLike, size: Sequence[int], resize: str = 'bilinear'
) -> np.ndarray:
    """Bring a map to a size as the benchmark does.

    Resize, then min-max normalize at the final size: 0 and 1 are reached at
    every resolution. A constant map (before or after the resize), a NaN or
    empty one gives zeros.

    Args:
        pred_map: Shape ``(h, w)``, any range and resolution.
        size: ``(h, w)`` of the result, in pixels.
        resize: See :func:`resize_map`; the benchmark's own is
            ``'bicubic'``.

    Returns:
        Shape ``size``, values in [0, 1].

    Example:
        >>> scale_map([[0, 8]], (1, 4)).tolist()
        [[0.0, 0.25, 0.75, 1.0]]
    """
    array = as_map(pred_map)
    with np.errstate(all='ignore'):
        spread = array.max() - array.min() if array.size else 0
    # Resizing would make a constant map uneven by rounding.
    if not 0 < spread < np.inf:
        return np.zeros(as_size(size, 'size'), np.float32)
    return normalize_map(resize_map(array, size, resize))


def quantize_map(
    pred_map: ArrayLike, size: Sequence[int], resize: str = 'bilinear'
) -> np.ndarray:
    """Bring a map to the benchmark's 256 levels.

    ``uint8(255 m)``, truncated, of the map m of :func:`scale_map`.

    Args:
        pred_map: Shape ``(h, w)``, any range and resolution.
        size: ``(h, w)`` of the result, in pixels.
        resize: See :func:`resize_map`.

    Returns:
        Shape ``size``, uint8.

    Example:
        >>> quantize_map([[0, 1, 2]], (1, 3)).tolist()
        [[0, 127, 255]]
    """
    return (scale_map(pred_map, size, resize) * 255).astype(np.uint8)


def cut_of(
    array: np.ndarray, threshold: float | str, percentile: float | None = None
) -> float:
    """Find the value at which a map is cut.

    Args:
        array: A map at the size of the view, values in [0, 1].
        threshold: A number from 0 to 1; ``'otsu'``: the cut that parts the
            256 levels of this map into the two groups with the least variance
            within (Otsu, 1979); or ``'auto'``: ``AUTO_SHARE`` of that cut. (A
            model that was calibrated knows a number for ``'auto'``, the mean
            over training images.)
        percentile: With a number as threshold, take that share of this
            percentile (0 to 100) of the map (PaS) instead of 1. (1 is the maximum
            of the map before it was resized, which may flatten it a little.)

    Returns:
        The cut; foreground is what lies above.

    Raises:
        ValueError: If ``threshold`` or ``percentile`` is none of these.

    Example:
        >>> cut_of(np.array([[0.0, 0.5, 1.0]]), 0.4, percentile=50)
        0.2
    """
    check_threshold(threshold, percentile)
    if not isinstance(threshold, str):
        # A Python number is compared in the map's own precision.
        if percentile is None:
            return float(threshold)
        return float(threshold * np.percentile(array, percentile))
    levels = np.round(255 * array).astype(np.uint8)
    level, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    share = AUTO_SHARE if threshold == 'auto' else 1
    return share * (level + 0.5) / 255


def check_threshold(
    threshold: float | str, percentile: float | None = None, option: str = 'threshold'
) -> None:
    """Check where maps are to be cut, see :func:`cut_of`.

    Args:
        threshold: A number from 0 to 1, ``'otsu'`` or ``'auto'``.
        percentile: None or a number from 0 to 100, excluded.
        option: Name of the option, for the error.

    Raises:
        ValueError: If one is not allowed.

    Example:
        >>> check_threshold(0.2)
    """
    if isinstance(threshold, str):
        number, allowed = False, threshold in RULES
    else:
        number, allowed = True, 0 <= threshold <= 1
    if not allowed:
        raise ValueError(
            f"`{option}` must be between 0 and 1, or {' or '.join(map(repr, RULES))}; "
            f'got {threshold!r}.'
        )
    if percentile is not None and not (number and 0 < percentile <= 100):
        raise ValueError(
            f'`percentile` must be above 0 and at most 100, beside a number as '
            f'`{option}`, got {percentile!r} beside {threshold!r}.'
        )
