import hashlib

import cv2
import numpy as np
import pytest

from bas_mm.datasets.toy_drawing import class_look, draw_toy_image


def draw(index, label=None, **kwargs):
    rng = np.random.default_rng([7, index])
    return draw_toy_image(rng, index % 6 if label is None else label, **kwargs)


@pytest.fixture(scope='module')
def images():
    return [draw(i) for i in range(120)]


def test_part_is_small_and_at_one_end(images):
    for drawn in images:
        assert drawn.image.shape == (256, 256, 3)
        assert (drawn.mask & drawn.part).sum() == drawn.part.sum() > 50
        assert 6 * drawn.part.sum() <= drawn.mask.sum()
        # one object, and its head is off its middle
        count, _ = cv2.connectedComponents(drawn.mask.astype(np.uint8))
        assert count == 2
        x, y, w, h = cv2.boundingRect(drawn.mask.astype(np.uint8))
        assert 64 <= w <= 192 and 64 <= h <= 192
        head = np.argwhere(drawn.part).mean(0)
        away = np.hypot(*(head - np.argwhere(drawn.mask).mean(0)))
        assert away > 0.25 * max(w, h)


def test_part_box_misses_the_object(images):
    """Who finds only the part must fail at IoU 0.5."""
    for drawn in images:
        part, whole = (
            cv2.boundingRect(m.astype(np.uint8)) for m in (drawn.part, drawn.mask)
        )
        assert part[2] * part[3] < 0.4 * whole[2] * whole[3]


def test_image_independent_boxes_are_poor(images):
    hits = dict(whole=0, center=0)
    for drawn in images:
        x, y, w, h = cv2.boundingRect(drawn.mask.astype(np.uint8))
        a = np.clip([x - 16, y - 16, x + w - 16, y + h - 16], 0, 224)
        side = 0.15 * 224
        for name, b in (
            ('whole', (0, 0, 224, 224)),
            ('center', (side, side, 224 - side, 224 - side)),
        ):
            inter = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(
                0, min(a[3], b[3]) - max(a[1], b[1])
            )
            union = (
                (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
            )
            hits[name] += inter > 0.5 * union
    assert hits['whole'] / len(images) < 0.2
    assert hits['center'] / len(images) < 0.35


def test_background_does_not_depend_on_the_class():
    for index in range(4):
        a, b = draw(index, 0), draw(index, 4)
        np.testing.assert_array_equal(a.mask, b.mask)
        outside = cv2.dilate(a.mask.astype(np.uint8), np.ones((5, 5))) == 0
        np.testing.assert_array_equal(a.image[outside], b.image[outside])
        assert (a.image[a.part] != b.image[b.part]).any()


def test_body_signal_is_weak_and_the_part_strong():
    """The class changes the part's pixels much, the body's a little."""
    part, body = [], []
    for index in range(20):
        a, b = (draw(index, k).image.astype(int) for k in (0, 1))
        drawn = draw(index, 0)
        change = np.abs(a - b).mean(-1)
        inner = cv2.erode(drawn.mask.astype(np.uint8), np.ones((5, 5))) > 0
        part.append(change[drawn.part & inner].mean())
        body.append(
            change[
                inner
                & ~cv2.dilate(drawn.part.astype(np.uint8), np.ones((5, 5))).astype(bool)
            ].mean()
        )
    assert np.mean(part) > 4 * np.mean(body) > 0
    off = [draw(0, k, body_texture=0.0, body_tint=0.0) for k in (0, 1)]
    body = off[0].mask & ~cv2.dilate(
        off[0].part.astype(np.uint8), np.ones((5, 5))
    ).astype(bool)
    np.testing.assert_array_equal(off[0].image[body], off[1].image[body])


def test_determinism_and_size():
    a, b, other = draw(3), draw(3), draw(4)
    for x, y in zip(a, b):
        np.testing.assert_array_equal(x, y)
    assert (a.image != other.image).any()
    assert draw(0, image_size=96).image.shape == (96, 96, 3)


@pytest.mark.parametrize(
    'seed, label, options, checksums',
    [
        (
            [7, 1],
            1,
            dict(image_size=96),
            ['f05850ac8de98f25', '6d34b6bd9c99422d', '81392b4c0da2f471'],
        ),
        (
            [3, 0, 4, 7],
            4,
            dict(
                num_classes=5,
                image_size=96,
                part_contrast=0.6,
                body_texture=0.1,
                body_tint=0.3,
            ),
            ['58195a9a82b06a9e', '8500454024e7ace7', '80f21c787427d243'],
        ),
    ],
)
def test_known_images_stay_the_same(seed, label, options, checksums):
    """If this fails, ``TOY_VERSION`` must rise: old folders are of other images."""
    drawn = draw_toy_image(np.random.default_rng(seed), label, **options)
    found = [hashlib.sha256(np.ascontiguousarray(a).tobytes()) for a in drawn]
    assert [x.hexdigest()[:16] for x in found] == checksums


def test_class_look():
    patterns, hues = zip(*(class_look(i, 8) for i in range(8)))
    assert len(set(patterns)) == 6 and patterns[6:] == patterns[:2]
    assert list(hues) == [i / 8 for i in range(8)]
