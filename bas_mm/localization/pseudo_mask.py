"""SPOL: a mask to learn from, made of a map."""

from collections.abc import Sequence

import cv2
import numpy as np

from bas_mm.localization.maps import ArrayLike, as_map, as_size, resize_map

#: Of a mask: neither foreground nor background.
IGNORED = 255

_SIDE = 256  # the map is read at this size
_UNSURE = (0.1, 0.5)  # values of the parts that an object may continue in
_LEAST_AREA = 20
_SHRINK = 10.0  # of the covariance


def gaussian_prior(loc_map: np.ndarray) -> np.ndarray:
    """Draw a Gaussian over each part of a map that is neither high nor low.

    Args:
        loc_map: Shape ``(h, w)``, 0 to 1.

    Returns:
        The maximum of the Gaussians, ``(h, w)`` float32, 0 to 1; each has the
        weighted mean of its part and a tenth of its covariance. Parts of under
        20 pixels have none.
    """
    low, high = _UNSURE
    unsure = np.where((loc_map >= low) & (loc_map <= high), loc_map, 0)
    prior = np.zeros_like(loc_map, np.float32)
    y, x = np.indices(loc_map.shape)
    contours, _ = cv2.findContours(
        (unsure > 0).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
    )
    for contour in contours:
        if cv2.contourArea(contour) < _LEAST_AREA:
            continue
        inside = cv2.drawContours(
            np.zeros(loc_map.shape, np.uint8), [contour], -1, 1, cv2.FILLED
        )
        weight = unsure * inside
        weight = weight / weight.sum()
        mean = (weight * x).sum(), (weight * y).sum()
        off = np.stack([x - mean[0], y - mean[1]], -1).astype(np.float64)
        covariance = np.einsum('hw,hwi,hwj->ij', weight, off, off) / _SHRINK
        inverse = np.linalg.pinv(covariance)
        distance = np.einsum('hwi,ij,hwj->hw', off, inverse, off)
        prior = np.maximum(prior, np.exp(-distance / 2).astype(np.float32))
    return prior


def pseudo_mask(
    loc_map: ArrayLike,
    size: Sequence[int],
    foreground: float = 0.25,
    background: float = 0.01,
) -> np.ndarray:
    """Make a map a mask with parts that are left open (SPOL, CVPR 2021).

    Foreground is where the map or its :func:`gaussian_prior` is above
    ``foreground``, background where the map is below ``background``; the rest is
    ignored.

    Args:
        loc_map: Shape ``(h, w)``, 0 and above; its maximum becomes 1.
        size: ``(h, w)`` of the mask.
        foreground: See above.
        background: See above.

    Returns:
        uint8, ``size``: 0 background, 1 foreground, 255 ignored. All ignored
        where the map has nothing above 0 or is not finite.

    Example:
        >>> pseudo_mask([[0.0, 0.0, 0.2, 9.0]], (1, 4)).tolist()
        [[0, 0, 255, 1]]
    """
    array = as_map(loc_map).astype(np.float32)
    shape = as_size(size, 'size')
    if not (array.size and np.isfinite(array).all() and array.max() > 0):
        return np.full(shape, IGNORED, np.uint8)
    array = array / array.max()
    prior = resize_map(gaussian_prior(resize_map(array, (_SIDE, _SIDE))), shape)
    array = resize_map(array, shape)
    mask = np.full(shape, IGNORED, np.uint8)
    mask[array < background] = 0
    mask[(array > foreground) | (prior > foreground)] = 1
    return mask
