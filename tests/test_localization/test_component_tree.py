import cv2
import numpy as np
import pytest

from bas_mm.localization import contours, largest_components
from tests.helpers.references import largest_box

pytestmark = pytest.mark.usefixtures('way')


def random_levels(rng):
    """A small map with plateaus, holes, rings, lines or single pixels."""
    h, w = (int(x) for x in rng.integers(1, 20, 2))
    top = int(rng.choice([1, 2, 3, 5, 20, 255]))
    y, x = np.mgrid[:h, :w]
    kind = rng.integers(6)
    if kind == 0:
        levels = rng.integers(0, top + 1, (h, w))
    elif kind == 1:
        levels = cv2.resize(rng.random((4, 4)), (w, h)) * top
    elif kind == 2:
        levels = (rng.random((h, w)) < rng.random()) * rng.integers(0, top + 1, (h, w))
    elif kind == 3:  # nested square rings
        levels = np.maximum(abs(y - h // 2), abs(x - w // 2)) % 3 * top / 2
    elif kind == 4:  # round rings of uneven height, noise between them
        levels = rng.random((h, w)) * top * 0.3 + (
            np.hypot(y - h / 2, x - w / 2) % 4 > 2
        ) * top * rng.random((h, w))
    else:  # diagonal lines
        levels = ((x + y * rng.choice([-1, 1])) % rng.integers(2, 5) == 0) * (
            rng.integers(0, top + 1, (h, w))
        )
    return levels.astype(np.uint8)


def rectangle(contour):
    x, y, w, h = cv2.boundingRect(contour)
    return x, y, x + w, y + h


@pytest.mark.parametrize('seed', range(8))
def test_equal_to_opencv_contours(seed):
    rng = np.random.default_rng(seed)
    holes = 0
    for _ in range(150):
        levels = random_levels(rng)
        order = None if rng.random() < 0.5 else levels + rng.random(levels.shape)
        every, largest = contours(levels, order)
        assert every.level[largest].tolist() == list(range(1, int(levels.max()) + 1))
        for level, box in enumerate(every.boxes[largest], 1):
            expected, hierarchy = cv2.findContours(
                (levels >= level).astype(np.uint8),
                cv2.RETR_TREE,
                cv2.CHAIN_APPROX_SIMPLE,
            )
            holes += len(expected) - (hierarchy[0, :, 3] < 0).sum()
            assert sorted(map(rectangle, expected)) == sorted(
                map(tuple, every.boxes[every.level == level].tolist())
            )
            assert rectangle(max(expected, key=cv2.contourArea)) == tuple(box)
    assert holes > 500  # inner contours were part of it


def test_summits_that_come_up_within_a_hole():
    levels = np.zeros((9, 11), np.uint8)
    cv2.rectangle(levels, (1, 1), (9, 7), 5)
    levels[4, 3:6] = 4, 3, 5  # the 5 lies in the hole, the 4 was never outside it
    every, largest = contours(levels)
    assert every.boxes[largest].tolist() == [[1, 1, 10, 8]] * 5
    inside = every.boxes[every.level == 3].tolist()
    assert sorted(inside) == [[1, 1, 10, 8], [1, 1, 10, 8], [3, 4, 6, 5]]


@pytest.mark.parametrize('size', [(70, 90), (160, 160)])
def test_noise(size):
    levels = np.random.default_rng(3).integers(0, 256, size).astype(np.uint8)
    every, largest = contours(levels)
    for level in range(80, 180, 5):
        expected = cv2.findContours(
            (levels >= level).astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE
        )[0]
        boxes = every.boxes[every.level == level].tolist()
        assert sorted(map(rectangle, expected)) == sorted(map(tuple, boxes))
        assert rectangle(max(expected, key=cv2.contourArea)) == tuple(
            every.boxes[largest[level - 1]]
        )


@pytest.mark.parametrize('seed', range(3))
def test_largest_component_equals_flood_fill(seed):
    rng = np.random.default_rng(seed)
    for _ in range(60):
        levels = random_levels(rng) // 16
        found = largest_components(levels)
        assert found.level.tolist() == list(range(1, int(levels.max()) + 1))
        for level, box in zip(found.level, found.boxes):
            assert largest_box(levels >= level) == tuple(box)


@pytest.mark.parametrize('shape', [(40, 300), (300, 40), (64, 64)])
def test_smooth_maps_with_many_levels(shape):
    rng = np.random.default_rng(0)
    levels = (cv2.resize(rng.random((9, 9)), shape[::-1]) * 3000).astype(int)
    every, largest = contours(levels)
    for level in range(1, int(levels.max()) + 1, 97):
        expected = cv2.findContours(
            (levels >= level).astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE
        )[0]
        assert sorted(map(rectangle, expected)) == sorted(
            map(tuple, every.boxes[every.level == level].tolist())
        )
        assert rectangle(max(expected, key=cv2.contourArea)) == tuple(
            every.boxes[largest[level - 1]]
        )


def test_nothing_above_level_0():
    every, largest = contours(np.zeros((3, 4), np.uint8))
    assert len(every.level) == len(largest) == 0
    assert largest_components(np.zeros((3, 4), np.uint8)).boxes.shape == (0, 4)


@pytest.mark.parametrize(
    'levels',
    [np.zeros((2, 2)), np.zeros(3, int), np.array([[-1]]), np.array([[70000]])],
)
def test_wrong_levels(levels):
    with pytest.raises(ValueError, match='whole numbers from 0 to 65535'):
        contours(levels)
