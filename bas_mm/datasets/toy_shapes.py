"""Shapes, colors and patterns that the toy data set is drawn with.

Points are ``(x, y)`` in pixels of the image; colors are BGR, 0 to 255.
"""

import cv2
import numpy as np

_SHIFT = 4  # OpenCV draws with 4 fractional bits


def hsv_color(hue: float, saturation: float, value: float) -> np.ndarray:
    """Give a BGR color, float32; hue in turns, the others 0 to 1.

    Example:
        >>> hsv_color(1 / 3, 1, 1).tolist()
        [0.0, 255.0, 0.0]
    """
    pixel = np.array([[[hue % 1 * 360, saturation, value]]], np.float32)
    return cv2.cvtColor(pixel, cv2.COLOR_HSV2BGR)[0, 0] * 255


def random_color(rng: np.random.Generator) -> np.ndarray:
    """Draw a BGR color that is not strong, float32.

    Example:
        >>> random_color(np.random.default_rng(0)).shape
        (3,)
    """
    return hsv_color(rng.random(), rng.uniform(0.05, 0.5), rng.uniform(0.2, 0.95))


def smooth_noise(
    rng: np.random.Generator, size: int, cells: int, channels: int
) -> np.ndarray:
    """Draw smooth noise of about 0 to 1, ``(size, size, channels)`` float32.

    Args:
        rng: The source of everything random.
        size: Side of the result.
        cells: Random values along a side.
        channels: Number of channels.

    Example:
        >>> smooth_noise(np.random.default_rng(0), 8, 3, channels=1).shape
        (8, 8, 1)
    """
    grid = rng.random((cells, cells, channels), dtype=np.float32)
    return cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC).reshape(
        size, size, channels
    )


def fill_polygon(alpha: np.ndarray, points: np.ndarray) -> None:
    """Fill a polygon, ``(n, 2)``, in ``alpha``, uint8, with smooth edges.

    Example:
        >>> alpha = np.zeros((9, 9), np.uint8)
        >>> fill_polygon(alpha, np.array([[2, 2], [6, 2], [6, 6], [2, 6]]))
        >>> alpha[4, 4].item(), alpha[0, 0].item()
        (255, 0)
    """
    cv2.fillPoly(
        alpha, [np.round(points * 2**_SHIFT).astype(np.int32)], 255, cv2.LINE_AA, _SHIFT
    )


def fill_disc(alpha: np.ndarray, center: np.ndarray, radius: float) -> None:
    """Fill a disc in ``alpha``, uint8, with smooth edges.

    Example:
        >>> alpha = np.zeros((9, 9), np.uint8)
        >>> fill_disc(alpha, np.array([4, 4]), 2)
        >>> alpha[4, 4].item(), alpha[0, 4].item()
        (255, 0)
    """
    c = np.round(np.asarray(center) * 2**_SHIFT).astype(int)
    cv2.circle(
        alpha,
        (int(c[0]), int(c[1])),
        int(radius * 2**_SHIFT),
        255,
        -1,
        cv2.LINE_AA,
        _SHIFT,
    )


def fill_limb(alpha: np.ndarray, points: np.ndarray, radii: np.ndarray) -> None:
    """Fill a chain of discs and the tapered pieces between them.

    Args:
        alpha: Shape ``(h, w)``, uint8.
        points: Shape ``(n, 2)``, the centers.
        radii: Shape ``(n,)``.

    Example:
        >>> alpha = np.zeros((5, 9), np.uint8)
        >>> fill_limb(alpha, np.array([[1, 2], [7, 2]]), np.array([1, 1]))
        >>> alpha[2, 1:8].min().item()
        255
    """
    for p, q, r, s in zip(points[:-1], points[1:], radii[:-1], radii[1:]):
        d = (q - p) / max(float(np.hypot(*(q - p))), 1e-6)
        n = np.array([-d[1], d[0]])
        fill_polygon(alpha, np.array([p + n * r, q + n * s, q - n * s, p - n * r]))
    for p, r in zip(points, radii):
        fill_disc(alpha, p, r)


def wave_pattern(name: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Give a pattern in about [-1, 1] with period 1 along ``x`` and ``y``.

    Args:
        name: Name of the pattern.
        x: Any shape, along the body.
        y: Same shape, across it.

    Example:
        >>> wave_pattern('stripes', np.array([0, 0.25]), np.zeros(2)).tolist()
        [0.0, 1.0]
    """
    sx, sy = np.sin(2 * np.pi * x), np.sin(2 * np.pi * y)
    if name == 'checker':
        return sx * sy * 1.5
    if name == 'stripes':
        return sx
    if name == 'rings':  # scales: rows of arcs
        return np.sin(2 * np.pi * (x + 0.45 * np.abs(sy)))
    if name == 'dots':
        return 2.2 * np.maximum(sx, 0) * np.maximum(sy, 0) - 0.6
    if name == 'cross':  # stripes along the body
        return sy
    return np.sin(2 * np.pi * (x + y) * 0.7)  # slanted


def badge_pattern(name: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Give a pattern in two colors for a disc, bool.

    Args:
        name: Name of the pattern.
        a: Any shape, from -1 to 1 over the disc.
        b: Same shape, the other way.

    Example:
        >>> badge_pattern('cross', np.array([0, 0.5]), np.array([0.9, 0.9])).tolist()
        [True, False]
    """
    if name == 'checker':
        return (np.floor(a * 2) + np.floor(b * 2)) % 2 == 0
    if name == 'stripes':
        return np.floor(a * 2.5 + 0.5) % 2 == 0
    if name == 'rings':
        return np.floor(np.hypot(a, b) * 3) % 2 == 0
    if name == 'dots':
        return np.hypot((a * 1.5 + 0.5) % 1 - 0.5, (b * 1.5 + 0.5) % 1 - 0.5) < 0.3
    if name == 'cross':
        return (np.abs(a) < 0.27) | (np.abs(b) < 0.27)
    return np.floor(np.arctan2(b, a) * 3 / np.pi) % 2 == 0


def find_window(alpha: np.ndarray) -> tuple[slice, slice]:
    """Find the rows and columns where ``alpha`` is set.

    Example:
        >>> find_window(np.array([[0, 0, 0], [0, 9, 9]], np.uint8))
        (slice(1, 2, None), slice(1, 3, None))
    """
    x, y, w, h = cv2.boundingRect(alpha)
    return slice(y, y + h), slice(x, x + w)


def paste(image: np.ndarray, alpha: np.ndarray, paint: np.ndarray) -> None:
    """Blend ``paint`` into ``image`` in place.

    Args:
        image: Shape ``(h, w, c)``, float32.
        alpha: Shape ``(h, w)``, uint8, 255 covers the image.
        paint: Shape ``(h, w, c)``.

    Example:
        >>> image = np.zeros((1, 2, 1), np.float32)
        >>> paste(image, np.array([[0, 255]], np.uint8), np.full((1, 2, 1), 9))
        >>> image.ravel().tolist()
        [0.0, 9.0]
    """
    a = alpha[..., None].astype(np.float32) / 255
    image += a * (paint.astype(np.float32) - image)
