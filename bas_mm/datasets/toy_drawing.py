"""The drawing of the toy data set.

Each picture shows one elongated creature on a cluttered background. What a
creature is (its class) shows

- strongly in its head, at one end, at most a sixth of its area: a pattern
  in two colours of high contrast;
- weakly all over the rest: a faint texture and a faint tint on top of body
  colours that are drawn at random.

Cross-entropy is content with the head; evidence still grows with the rest.
That is the case that weakly supervised localization is about: a class
activation map finds the part, a good method finds the whole.
"""

from typing import NamedTuple

import cv2
import numpy as np

# The weaker the body's two signals, the more a classifier leans on the head
# and the smaller the box of a class activation map.
#: Contrast of the head's pattern, 0 to 1.
PART_CONTRAST = 1.0
#: Amplitude of the body's class texture, as a fraction of 255.
BODY_TEXTURE = 0.045
#: Share of the class colour in the body's colour, 0 to 1.
BODY_TINT = 0.1

_PATTERNS = ('checker', 'stripes', 'rings', 'dots', 'cross', 'pinwheel')
_SIDE = (0.25, 0.75)  # of the image side: least short side, most long side
_SHIFT = 4  # OpenCV draws with 4 fractional bits


class ToyPicture(NamedTuple):
    """One drawn picture.

    Attributes:
        image (np.ndarray): ``(s, s, 3)`` uint8, BGR.
        mask (np.ndarray): ``(s, s)`` bool, the whole object.
        part (np.ndarray): ``(s, s)`` bool, its head, a subset of ``mask``.
    """

    image: np.ndarray
    mask: np.ndarray
    part: np.ndarray


def _hsv(hue: float, saturation: float, value: float) -> np.ndarray:
    """A BGR colour, float32; hue in turns, the others 0 to 1."""
    pixel = np.array([[[hue % 1 * 360, saturation, value]]], np.float32)
    return cv2.cvtColor(pixel, cv2.COLOR_HSV2BGR)[0, 0] * 255


def _random_colour(rng: np.random.Generator) -> np.ndarray:
    return _hsv(rng.random(), rng.uniform(0.05, 0.5), rng.uniform(0.2, 0.95))


def _noise(
    rng: np.random.Generator, size: int, cells: int, channels: int
) -> np.ndarray:
    """Smooth noise in [0, 1), ``(size, size, channels)`` float32."""
    grid = rng.random((cells, cells, channels), dtype=np.float32)
    return cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC).reshape(
        size, size, channels
    )


def _polygon(alpha: np.ndarray, points: np.ndarray) -> None:
    """Fill an anti-aliased polygon, ``(n, 2)`` pixel coordinates."""
    cv2.fillPoly(
        alpha, [np.round(points * 2**_SHIFT).astype(np.int32)], 255, cv2.LINE_AA, _SHIFT
    )


def _disc(alpha: np.ndarray, centre: np.ndarray, radius: float) -> None:
    c = np.round(np.asarray(centre) * 2**_SHIFT).astype(int)
    cv2.circle(
        alpha,
        (int(c[0]), int(c[1])),
        int(radius * 2**_SHIFT),
        255,
        -1,
        cv2.LINE_AA,
        _SHIFT,
    )


def _limb(alpha: np.ndarray, points: np.ndarray, radii: np.ndarray) -> None:
    """Fill a chain of discs and the tapered pieces between them."""
    for p, q, r, s in zip(points[:-1], points[1:], radii[:-1], radii[1:]):
        d = (q - p) / max(float(np.hypot(*(q - p))), 1e-6)
        n = np.array([-d[1], d[0]])
        _polygon(alpha, np.array([p + n * r, q + n * s, q - n * s, p - n * r]))
    for p, r in zip(points, radii):
        _disc(alpha, p, r)


def _wave(name: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A pattern in [-1, 1] with period 1 along ``x`` and ``y``."""
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


def _badge(name: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The head's pattern, bool; ``a`` and ``b`` run over [-1, 1]."""
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


def class_look(label: int, num_classes: int) -> tuple[str, float]:
    """Pattern and hue (in turns) of a class."""
    return _PATTERNS[label % len(_PATTERNS)], label / num_classes


def _window(alpha: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns where ``alpha`` is set."""
    x, y, w, h = cv2.boundingRect(alpha)
    return slice(y, y + h), slice(x, x + w)


def _paste(image: np.ndarray, alpha: np.ndarray, paint: np.ndarray) -> None:
    """Blend ``paint`` into ``image`` in place; all of the same size."""
    a = alpha[..., None].astype(np.float32) / 255
    image += a * (paint.astype(np.float32) - image)


def _background(rng: np.random.Generator, size: int) -> np.ndarray:
    """Clutter that says nothing about the class, ``(s, s, 3)`` float32."""
    weight = _noise(rng, size, int(rng.integers(2, 6)), 1)
    image = _random_colour(rng) * weight + _random_colour(rng) * (1 - weight)
    image += 50 * (_noise(rng, size, int(rng.integers(6, 14)), 3) - 0.5)
    image += rng.uniform(20, 60) * (_noise(rng, size, size // 6, 1) - 0.5)
    yy, xx = np.mgrid[:size, :size].astype(np.float32)
    for _ in range(int(rng.integers(14, 24))):
        alpha = np.zeros((size, size), np.uint8)
        centre = rng.uniform(-0.05, 1.05, 2) * size
        radius = rng.uniform(0.025, 0.17) * size
        kind = rng.integers(5)
        if kind == 0:  # jagged polygon
            angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 8)))
            rim = np.stack([np.cos(angles), np.sin(angles)], 1)
            _polygon(
                alpha, centre + rim * radius * rng.uniform(0.5, 1.2, (len(rim), 1))
            )
        elif kind == 1:  # blob
            axes = radius * rng.uniform(0.4, 1.3, 2)
            cv2.ellipse(
                alpha,
                (
                    tuple(map(float, centre)),
                    tuple(map(float, 2 * axes)),
                    float(rng.uniform(0, 180)),
                ),
                255,
                -1,
                cv2.LINE_AA,
            )
        elif kind == 2:  # twig: limbs are no sign of an object
            steps = rng.normal(0, radius * 0.6, (4, 2)) + rng.normal(0, radius * 0.6, 2)
            _limb(
                alpha,
                centre + np.cumsum(steps, 0),
                np.linspace(*rng.uniform(0.01, 0.035, 2), 4) * size,
            )
        elif kind == 3:  # disc, some with a grey bull's eye
            _disc(alpha, centre, radius * 0.5)
        else:  # ring
            cv2.circle(
                alpha,
                tuple(map(int, centre)),
                int(radius * 0.7),
                255,
                max(2, int(radius * rng.uniform(0.15, 0.4))),
                cv2.LINE_AA,
            )
        window = _window(alpha)
        x, y = xx[window], yy[window]
        paint = np.broadcast_to(_random_colour(rng), (*x.shape, 3))
        if rng.random() < 0.5:  # striped, at any angle and pitch
            angle = rng.uniform(0, np.pi)
            pitch = rng.uniform(0.02, 0.07) * size
            phase = (x * np.cos(angle) + y * np.sin(angle)) / pitch
            stripe = np.sin(2 * np.pi * phase)[..., None]
            paint = paint + rng.uniform(10, 60) * stripe
        if kind == 3 and rng.random() < 0.6:  # grey pattern, no class colour
            r = np.hypot(x - centre[0], y - centre[1]) / radius
            grey = np.where(
                np.floor(r * rng.uniform(4, 8)) % 2 == 0, *rng.uniform(0, 255, 2)
            )
            paint = np.repeat(grey[..., None], 3, 2)
        _paste(image[window], alpha[window], paint)
    return image


def _creature(rng: np.random.Generator) -> tuple[list, np.ndarray, float]:
    """A random pose in body units: length about 1, head at negative x.

    Returns:
        tuple: Chains ``(points (n, 2), radii (n,))`` of discs (spine, tail
        and limbs), the centre of the head, and its radius.
    """
    s = np.linspace(0, 1, 15)
    bend, phase = rng.uniform(-0.22, 0.22), rng.uniform(0, np.pi)
    thick = rng.uniform(0.115, 0.15)
    y = bend * np.sin(np.pi * s * rng.uniform(0.8, 1.6) + phase)
    spine = np.stack([0.72 * (s - 0.5), y - y.mean()], 1)
    profile = thick * (0.55 + 0.45 * np.sin(np.pi * s ** rng.uniform(0.7, 1.3)))
    chains = [(spine, profile)]

    out = spine[0] - spine[2]
    out /= np.hypot(*out)
    radius = rng.uniform(0.112, 0.122)
    head = spine[0] + out * (radius + profile[0] * 0.35)

    back = spine[-1] - spine[-3]
    back = back / np.hypot(*back)
    turn = rng.uniform(-0.9, 0.9)
    rot = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    mid = spine[-1] + back * rng.uniform(0.08, 0.14)
    tip = mid + rot @ back * rng.uniform(0.07, 0.14)
    chains.append(
        (
            np.stack([spine[-1], mid, tip]),
            np.array([thick * 0.5, thick * 0.28, thick * rng.uniform(0.35, 0.6)]),
        )
    )
    for at in (int(rng.integers(3, 6)), int(rng.integers(9, 12))):
        d = spine[at + 1] - spine[at - 1]
        n = np.array([-d[1], d[0]]) / np.hypot(*d)
        for side in (1, -1):
            hip = spine[at] + side * n * profile[at] * 0.7
            knee = hip + (
                side * n + rng.uniform(-0.7, 0.7) * d / np.hypot(*d)
            ) * rng.uniform(0.08, 0.14)
            foot = knee + (
                side * n * rng.uniform(0.2, 1) + rng.uniform(-1, 1) * d / np.hypot(*d)
            ) * rng.uniform(0.06, 0.12)
            chains.append(
                (np.stack([hip, knee, foot]), thick * np.array([0.36, 0.27, 0.2]))
            )
    return chains, head, radius


def draw_toy_picture(
    rng: np.random.Generator,
    label: int,
    num_classes: int = 6,
    image_size: int = 256,
    part_contrast: float = PART_CONTRAST,
    body_texture: float = BODY_TEXTURE,
    body_tint: float = BODY_TINT,
) -> ToyPicture:
    """Draw one picture.

    The object's box is at least a quarter and at most three quarters of the
    side, each way; its place, pose, size and turn are random; its head takes
    at most a sixth of its area.

    Args:
        rng (np.random.Generator): The source of everything random.
        label (int): The class, from 0.
        num_classes (int): The number of classes; their hues are spread
            evenly over the colour circle. Defaults to 6.
        image_size (int): Side of the picture in pixels. Defaults to 256.
        part_contrast (float): Contrast of the head's pattern, 0 to 1.
        body_texture (float): Amplitude of the body's class texture, as a
            fraction of the grey range.
        body_tint (float): Share of the class colour in the body, 0 to 1.

    Returns:
        ToyPicture: The picture, the object's mask and the head's mask.
    """
    size = image_size
    image = _background(rng, size)
    pattern, hue = class_look(label, num_classes)
    while True:
        chains, head, radius = _creature(rng)
        turn, flip = rng.uniform(0, 2 * np.pi), rng.choice([-1, 1])
        rot = np.array(
            [[np.cos(turn), -np.sin(turn) * flip], [np.sin(turn), np.cos(turn) * flip]]
        )
        # the extent of the turned creature, in body units
        points = np.concatenate([c[0] for c in chains] + [head[None]]) @ rot.T
        radii = np.concatenate([c[1] for c in chains] + [[radius]])[:, None]
        low, high = (points - radii).min(0), (points + radii).max(0)
        least = (_SIDE[0] * size + 2) / (high - low).min()
        most = (_SIDE[1] * size - 2) / (high - low).max()
        if least > most:
            continue
        scale = least + (most - least) * rng.random() ** 1.2
        free = size - 4 - (high - low) * scale
        origin = 2 + rng.random(2) * free - low * scale
        body_alpha = np.zeros((size, size), np.uint8)
        for chain, thick in chains:
            _limb(body_alpha, chain @ rot.T * scale + origin, thick * scale)
        head_alpha = np.zeros((size, size), np.uint8)
        _disc(head_alpha, rot @ head * scale + origin, radius * scale)
        part = head_alpha >= 128
        mask = part | (body_alpha >= 128)
        if 0 < part.sum() * 6 <= mask.sum():
            break

    # body coordinates of the object's pixels, in body units
    window = _window(np.maximum(body_alpha, head_alpha))
    yy, xx = np.mgrid[window].astype(np.float32)
    offset = np.stack([xx - origin[0], yy - origin[1]], -1) / scale
    u, v = np.moveaxis(offset @ rot, -1, 0)

    colour = _hsv(hue + rng.uniform(-0.02, 0.02), 0.95, 0.95)
    blend = u[..., None] + _noise(rng, size, 6, 1)[window]
    blend = np.clip(blend, 0, 1)
    body = _random_colour(rng) * blend + _random_colour(rng) * (1 - blend)
    body += 45 * (_noise(rng, size, 14, 3)[window] - 0.5)
    body += body_tint * (colour - body)
    pitch = max(0.085, 7 / scale)
    wave = np.clip(_wave(pattern, u / pitch, v / pitch), -1, 1)
    body += 255 * body_texture * wave[..., None]
    _paste(image[window], body_alpha[window], body)

    a, b = (u - head[0]) / radius, (v - head[1]) / radius
    dark = _hsv(hue, 0.3, 0.06) if label % 2 else _hsv(hue + 0.5, 0.12, 1)
    mean = (colour + dark) / 2
    badge = np.where(_badge(pattern, a, b)[..., None], colour, dark)
    badge = mean + part_contrast * (badge - mean)
    _paste(image[window], head_alpha[window], badge)

    image += 5 * rng.standard_normal((size, size, 1), dtype=np.float32)
    return ToyPicture(np.clip(image, 0, 255).astype(np.uint8), mask, part)
