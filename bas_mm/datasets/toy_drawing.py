"""The drawing of the toy data set.

Each image shows one elongated creature on a cluttered background. What a
creature is (its class) shows

- strongly in its head, at one end, at most a sixth of its area: a pattern
  in two colors of high contrast;
- weakly all over the rest: a faint texture and a faint tint on top of body
  colors that are drawn at random.

Cross-entropy is content with the head; evidence still grows with the rest.
That is the case that weakly supervised localization is about: a class
activation map finds the part, a good method finds the whole.

Random numbers are drawn in a fixed order. Who changes it, or any number here
or in :mod:`bas_mm.datasets.toy_shapes`, changes every image and must raise
``TOY_VERSION``.
"""

from typing import NamedTuple

import cv2
import numpy as np

from bas_mm.datasets.toy_shapes import (
    badge_pattern,
    fill_disc,
    fill_limb,
    fill_polygon,
    find_window,
    hsv_color,
    paste,
    random_color,
    smooth_noise,
    wave_pattern,
)

# The weaker the body's two signals, the more a classifier leans on the head
# and the smaller the box of a class activation map.
#: Contrast of the head's pattern, 0 to 1.
PART_CONTRAST = 1.0
#: Amplitude of the body's class texture, as a fraction of 255.
BODY_TEXTURE = 0.045
#: Share of the class color in the body's color, 0 to 1.
BODY_TINT = 0.1

_PATTERNS = ('checker', 'stripes', 'rings', 'dots', 'cross', 'pinwheel')
_SIDE = (0.25, 0.75)  # of the image side: least short side, most long side
_POLYGON, _BLOB, _TWIG, _DISC, _RING = range(5)  # shapes of the background


class ToyImage(NamedTuple):
    """A drawn image.

    Attributes:
        image: ``(s, s, 3)`` uint8, BGR.
        mask: ``(s, s)`` bool, the whole object.
        part: ``(s, s)`` bool, its head, a subset of ``mask``.
    """

    image: np.ndarray
    mask: np.ndarray
    part: np.ndarray


class _Pose(NamedTuple):
    """A pose in body units: length about 1, head at negative x.

    Attributes:
        chains: ``(points (n, 2), radii (n,))`` of discs: spine, tail, limbs.
        head: Shape ``(2,)``, the center of the head.
        radius: Radius of the head.
    """

    chains: list[tuple[np.ndarray, np.ndarray]]
    head: np.ndarray
    radius: float


class _Creature(NamedTuple):
    """A creature at its place in the image.

    Attributes:
        pose: Its pose in body units.
        rotation: Shape ``(2, 2)``, from body units to the image, mirrored or
            not.
        scale: Pixels of the image a body unit.
        origin: Shape ``(2,)``, (x, y), of the body in pixels of the image.
        body: ``(s, s)`` uint8, how much the body covers of each pixel.
        head: ``(s, s)`` uint8, the same for the head.
    """

    pose: _Pose
    rotation: np.ndarray
    scale: float
    origin: np.ndarray
    body: np.ndarray
    head: np.ndarray


def class_look(label: int, num_classes: int) -> tuple[str, float]:
    """Give the pattern and the hue (in turns) of a class.

    Example:
        >>> class_look(1, num_classes=4)
        ('stripes', 0.25)
    """
    return _PATTERNS[label % len(_PATTERNS)], label / num_classes


def _background(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw clutter that does not depend on the class, ``(s, s, 3)`` float32."""
    weight = smooth_noise(rng, size, int(rng.integers(2, 6)), 1)
    image = random_color(rng) * weight + random_color(rng) * (1 - weight)
    image += 50 * (smooth_noise(rng, size, int(rng.integers(6, 14)), 3) - 0.5)
    image += rng.uniform(20, 60) * (smooth_noise(rng, size, size // 6, 1) - 0.5)
    for _ in range(int(rng.integers(14, 24))):
        alpha = np.zeros((size, size), np.uint8)
        center = rng.uniform(-0.05, 1.05, 2) * size
        radius = rng.uniform(0.025, 0.17) * size
        kind = int(rng.integers(5))
        _draw_shape(rng, alpha, kind, center, radius)
        window = find_window(alpha)
        paint = _paint_shape(rng, size, window, kind, center, radius)
        paste(image[window], alpha[window], paint)
    return image


def _draw_shape(
    rng: np.random.Generator,
    alpha: np.ndarray,
    kind: int,
    center: np.ndarray,
    radius: float,
) -> None:
    """Fill one shape of the background, in pixel coordinates."""
    if kind == _POLYGON:  # jagged
        angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 8)))
        rim = np.stack([np.cos(angles), np.sin(angles)], 1)
        fill_polygon(
            alpha, center + rim * radius * rng.uniform(0.5, 1.2, (len(rim), 1))
        )
    elif kind == _BLOB:
        width, height = 2 * (radius * rng.uniform(0.4, 1.3, 2))
        turn = float(rng.uniform(0, 180))
        ellipse = (float(center[0]), float(center[1])), (float(width), float(height))
        cv2.ellipse(alpha, (*ellipse, turn), 255, -1, cv2.LINE_AA)
    elif kind == _TWIG:  # limbs are no sign of an object
        steps = rng.normal(0, radius * 0.6, (4, 2)) + rng.normal(0, radius * 0.6, 2)
        first, last = rng.uniform(0.01, 0.035, 2)
        radii = np.linspace(first, last, 4) * len(alpha)
        fill_limb(alpha, center + np.cumsum(steps, 0), radii)
    elif kind == _DISC:  # some with a gray bull's eye
        fill_disc(alpha, center, radius * 0.5)
    else:
        cv2.circle(
            alpha,
            (int(center[0]), int(center[1])),
            int(radius * 0.7),
            255,
            max(2, int(radius * rng.uniform(0.15, 0.4))),
            cv2.LINE_AA,
        )


def _paint_shape(
    rng: np.random.Generator,
    size: int,
    window: tuple[slice, slice],
    kind: int,
    center: np.ndarray,
    radius: float,
) -> np.ndarray:
    """Draw the colors of one shape of the background in its window."""
    y, x = np.mgrid[window].astype(np.float32)
    paint = np.broadcast_to(random_color(rng), (*x.shape, 3))
    if rng.random() < 0.5:  # striped, at any angle and pitch
        angle = rng.uniform(0, np.pi)
        pitch = rng.uniform(0.02, 0.07) * size
        phase = (x * np.cos(angle) + y * np.sin(angle)) / pitch
        stripe = np.sin(2 * np.pi * phase)[..., None]
        paint = paint + rng.uniform(10, 60) * stripe
    if kind == _DISC and rng.random() < 0.6:  # gray pattern, no class color
        r = np.hypot(x - center[0], y - center[1]) / radius
        inner = np.floor(r * rng.uniform(4, 8)) % 2 == 0
        light, dark = rng.uniform(0, 255, 2)
        paint = np.repeat(np.where(inner, light, dark)[..., None], 3, 2)
    return paint


def _draw_pose(rng: np.random.Generator) -> _Pose:
    """Draw a random pose."""
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
    return _Pose(chains, head, radius)


def _draw_creature(rng: np.random.Generator, size: int) -> _Creature:
    """Draw a creature that fits the image, and whose head is small enough."""
    while True:
        pose = _draw_pose(rng)
        turn, flip = rng.uniform(0, 2 * np.pi), rng.choice([-1, 1])
        rot = np.array(
            [[np.cos(turn), -np.sin(turn) * flip], [np.sin(turn), np.cos(turn) * flip]]
        )
        # The extent of the turned creature, in body units.
        points = np.concatenate([c[0] for c in pose.chains] + [pose.head[None]]) @ rot.T
        radii = np.concatenate([c[1] for c in pose.chains] + [[pose.radius]])[:, None]
        low, high = (points - radii).min(0), (points + radii).max(0)
        least = (_SIDE[0] * size + 2) / (high - low).min()
        most = (_SIDE[1] * size - 2) / (high - low).max()
        if least > most:
            continue
        scale = least + (most - least) * rng.random() ** 1.2
        free = size - 4 - (high - low) * scale
        origin = 2 + rng.random(2) * free - low * scale
        body = np.zeros((size, size), np.uint8)
        for chain, thick in pose.chains:
            fill_limb(body, chain @ rot.T * scale + origin, thick * scale)
        head = np.zeros((size, size), np.uint8)
        fill_disc(head, rot @ pose.head * scale + origin, pose.radius * scale)
        creature = _Creature(pose, rot, scale, origin, body, head)
        mask, part = _masks(creature)
        if 0 < part.sum() * 6 <= mask.sum():
            return creature


def _masks(creature: _Creature) -> tuple[np.ndarray, np.ndarray]:
    """Give the masks of the whole creature and of its head, bool."""
    part = creature.head >= 128
    return part | (creature.body >= 128), part


def draw_toy_image(
    rng: np.random.Generator,
    label: int,
    num_classes: int = 6,
    image_size: int = 256,
    part_contrast: float = PART_CONTRAST,
    body_texture: float = BODY_TEXTURE,
    body_tint: float = BODY_TINT,
) -> ToyImage:
    """Draw one image.

    The object's box is at least a quarter and at most three quarters of the
    side, each way; its place, pose, size and turn are random; its head takes
    at most a sixth of its area.

    Args:
        rng: The source of everything random.
        label: The class, from 0.
        num_classes: The number of classes; their hues are spread evenly over
            the color circle.
        image_size: Side of the image in pixels.
        part_contrast: Contrast of the head's pattern, 0 to 1.
        body_texture: Amplitude of the body's class texture, as a fraction of
            the gray range.
        body_tint: Share of the class color in the body, 0 to 1.

    Returns:
        The image, the object's mask and the head's mask.

    Example:
        >>> image, mask, part = draw_toy_image(np.random.default_rng(0), label=2)
        >>> image.shape, bool((mask >= part).all())
        ((256, 256, 3), True)
    """
    image = _background(rng, image_size)
    pattern, hue = class_look(label, num_classes)
    creature = _draw_creature(rng, image_size)
    pose = creature.pose
    window = find_window(np.maximum(creature.body, creature.head))
    u, v = _body_units(creature, window)

    color = hsv_color(hue + rng.uniform(-0.02, 0.02), 0.95, 0.95)
    body = _paint_body(rng, image_size, window, u)
    body += body_tint * (color - body)
    pitch = max(0.085, 7 / creature.scale)
    wave = np.clip(wave_pattern(pattern, u / pitch, v / pitch), -1, 1)
    body += 255 * body_texture * wave[..., None]
    paste(image[window], creature.body[window], body)

    a, b = (u - pose.head[0]) / pose.radius, (v - pose.head[1]) / pose.radius
    dark = hsv_color(hue, 0.3, 0.06) if label % 2 else hsv_color(hue + 0.5, 0.12, 1)
    mean = (color + dark) / 2
    head = np.where(badge_pattern(pattern, a, b)[..., None], color, dark)
    head = mean + part_contrast * (head - mean)
    paste(image[window], creature.head[window], head)

    image += 5 * rng.standard_normal((image_size, image_size, 1), dtype=np.float32)
    return ToyImage(np.clip(image, 0, 255).astype(np.uint8), *_masks(creature))


def _body_units(
    creature: _Creature, window: tuple[slice, slice]
) -> tuple[np.ndarray, np.ndarray]:
    """Give the places of pixels in body units, along and across the body."""
    y, x = np.mgrid[window].astype(np.float32)
    offset = np.stack([x - creature.origin[0], y - creature.origin[1]], -1)
    u, v = np.moveaxis(offset / creature.scale @ creature.rotation, -1, 0)
    return u, v


def _paint_body(
    rng: np.random.Generator, size: int, window: tuple[slice, slice], u: np.ndarray
) -> np.ndarray:
    """Draw colors of a body that do not depend on the class.

    Args:
        rng: The source of everything random.
        size: Side of the image in pixels.
        window: The rows and columns that are wanted.
        u: Place along the body of their pixels, in body units.

    Returns:
        BGR, float, of the window.
    """
    blend = u[..., None] + smooth_noise(rng, size, 6, 1)[window]
    blend = np.clip(blend, 0, 1)
    body = random_color(rng) * blend + random_color(rng) * (1 - blend)
    body += 45 * (smooth_noise(rng, size, 14, 3)[window] - 0.5)
    return body
