"""All components of a map at all its thresholds, in one pass.

The components of the masks ``level >= l`` nest as ``l`` falls: they grow and
merge, nothing else. Each row is cut into hills, which rise to a peak and fall
again; every hill is led uphill to the summit that it belongs to (pointer
jumping), the summits merge at the highest passes between them (a union-find
over the passes, by falling height), and what is wanted of a component (its
box, its area) is a minimum or a sum over its pixels, taken down the levels.
The work grows with the number of hills and summits, not of thresholds.
Tables hold summits times levels: smooth maps may have thousands of levels,
large noise needs memory.

Where numba is installed (the extra ``fast``), what is computed here in NumPy is
computed by :mod:`bas_mm.localization.compiled` instead, with the same results.

What OpenCV's contours are, in these terms (proved against
``cv2.findContours(mask, RETR_TREE, ...)`` by the tests):

- An outer contour is the border of an 8-connected component; its rectangle is
  the component's.
- An inner contour is the border of a hole, a 4-connected component of the
  background that does not reach the edge of the image; it runs over the
  pixels around the hole, so its rectangle is the hole's, one pixel larger on
  each side.
- ``contourArea`` is the area of the polygon through the pixel centers. For an
  outer contour: of the component with its holes filled, each 2x2 square of
  pixels counts 1 if it has all four and 1/2 if it has three.
- The contour of largest area is always the outer contour of a component that
  lies in no hole. Of equal ones OpenCV lists the one first whose first pixel
  comes last in raster order.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import NamedTuple

import numpy as np

from bas_mm.localization.hills import Hills, Tree, merge_rows, run_ends


class Components(NamedTuple):
    """Components (or contours) at many levels, in any order.

    Attributes:
        level: Shape ``(n,)``, int; the component is one of the mask
            ``levels >= level``, 1 and up.
        boxes: Shape ``(n, 4)``, int, ``xyxy`` pixels, max exclusive.
    """

    level: np.ndarray
    boxes: np.ndarray


_NOTHING = Components(np.zeros(0, np.int64), np.zeros((0, 4), np.int16))
_numpy_only = False


@functools.cache
def _import_compiled() -> ModuleType | None:
    try:
        from bas_mm.localization import compiled
    except (ImportError, RuntimeError):  # numba finds no folder for its cache
        return None
    return compiled


def get_compiled() -> ModuleType | None:
    """Give the module of the compiled loops, None for NumPy's.

    Example:
        >>> with numpy_only():
        ...     print(get_compiled())
        None
    """
    return None if _numpy_only else _import_compiled()


@contextmanager
def numpy_only() -> Iterator[None]:
    """Compute in NumPy, also where numba is installed.

    Example:
        >>> with numpy_only():
        ...     largest_components(np.array([[1, 2, 0]])).boxes.tolist()
        [[0, 0, 2, 1], [1, 0, 2, 1]]
    """
    global _numpy_only
    before, _numpy_only = _numpy_only, True
    try:
        yield
    finally:
        _numpy_only = before


def _filled_levels(holes: Hills, span: int) -> tuple[np.ndarray, np.ndarray]:
    """Find in which masks each hill of the background is filled.

    A hole is filled up to the level at which its part of the background joins
    the frame. Holes that merge at that pass share what lies around them, so
    one number stands for all of them.

    Args:
        holes: The hills of the inverse levels, framed.
        span: The number of levels of the map.

    Returns:
        For each hill, the highest level of a mask in which it is filled, 0
        for none, and the number of its hole.
    """
    tree = holes.tree
    fill = [span - 1] * len(tree.peak)
    if tree.frame is not None:
        fill[tree.frame] = 0
    hole = list(range(len(fill)))
    for height, winner, loser in reversed(tree.merges):
        if winner == tree.frame:
            fill[loser] = span - 1 - height
        else:
            fill[loser], hole[loser] = fill[winner], hole[winner]
    return np.array(fill)[holes.hill_summit], np.array(hole)[holes.hill_summit]


def _filled_pixels(
    outer: Hills, holes: Hills
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the pixels that are filled above their own level.

    Returns:
        Index, highest level at which it is filled, and number of the hole of
        each such pixel, ``(n,)`` each, in raster order.
    """
    fill, hole = _filled_levels(holes, outer.span)
    below = (fill > outer.span - 1 - holes.top).nonzero()[0]
    length = holes.length[below]
    hill = np.repeat(below, length)
    pixel = np.arange(len(hill))
    pixel += np.repeat(holes.start[below] - (length.cumsum() - length), length)
    filled = (outer.levels[pixel] < fill[hill]).nonzero()[0]
    hill, pixel = hill[filled], pixel[filled]
    return pixel, fill[hill], hole[hill]


def _flood(outer: Hills, holes: Hills, code: np.ndarray) -> Tree:
    """Give the pixels of the holes to the components around them.

    Args:
        outer: The hills of the levels.
        holes: The hills of the inverse levels.
        code: ``level * summits + summit`` of every pixel; changed in place.

    Returns:
        The tree in which a component that lies in a hole goes over into the
        one around it where the hole is filled.
    """
    tree, num = outer.tree, len(outer.tree.peak)
    pixel, fill, hole = _filled_pixels(outer, holes)
    if not len(pixel):
        return tree
    last = run_ends(pixel - np.arange(len(pixel)))
    first = np.append(0, last[:-1] + 1)
    # What is left of the first pixel of a hole is around it.
    around = np.zeros(len(holes.tree.peak), np.int64)
    around[hole[first][::-1]] = outer.summit[pixel[first[::-1]] - 1]
    code[pixel] = fill * num + around[hole]
    # What is right of a filled run is around the hole or lies in it. Other
    # summits come up only where it is filled.
    inside, at = outer.summit[pixel], outer.levels[pixel]
    drowned = (at == tree.peak[inside]).nonzero()[0]
    one = around[hole[np.append(last, drowned)]]
    two = np.append(outer.summit[pixel[last] + 1], inside[drowned])
    height = np.append(fill[last], at[drowned])
    apart = np.sort(((height * num + one) * num + two)[one != two])
    if not len(apart):
        return tree
    height, pair = np.divmod(apart[run_ends(apart)], num * num)
    passes = np.stack([height, *np.divmod(pair, num)])
    passes = np.concatenate([merge_rows(tree.merges), passes], 1)
    return Tree(tree.peak, passes[:, np.argsort(-passes[0], kind='stable')])


def squares(flat: np.ndarray, w: int) -> tuple[np.ndarray, np.ndarray]:
    """Give the third highest and the lowest pixel of all 2x2 squares.

    Args:
        flat: Shape ``(h * w,)``.
        w: Pixels of a row.

    Returns:
        By the first pixel of the square, ``((h - 1) * w - 1,)`` each. Those
        of the last column go around the edge.

    Example:
        >>> [x.tolist() for x in squares(np.array([4, 3, 2, 1]), 2)]
        [[2], [1]]
    """
    low, high = np.minimum(flat[1:], flat[:-1]), np.maximum(flat[1:], flat[:-1])
    third = np.minimum(np.maximum(low[w:], low[:-w]), np.minimum(high[w:], high[:-w]))
    return third, np.minimum(low[w:], low[:-w])


def _filled_area(outer: Hills, holes: Hills) -> tuple[Tree, np.ndarray]:
    """Find the polygon areas of the components, their holes filled.

    A 2x2 square gives one half when its third pixel comes in and one half
    when its fourth does, to the component of these pixels. A filled pixel
    comes in at the level up to which it is filled.

    Returns:
        The tree of the filled components and twice their areas, ``(n,)``.
    """
    span, num = outer.span, len(outer.tree.peak)
    code = outer.levels.astype(np.uint16 if span * num <= 2**16 else np.int64)
    code *= num
    code += outer.summit.astype(code.dtype)
    tree = _flood(outer, holes, code)

    w = outer.shape[1]
    third, fourth = squares(code, w)  # codes sort by level first
    fourth[w - 1 :: w] = third[w - 1 :: w] = 0  # around the edge
    count = np.bincount(fourth, minlength=span * num)
    count += np.bincount(third, minlength=span * num)
    table = np.ascontiguousarray(count.reshape(span, num).T)[..., None]
    return tree, tree.gather(table, np.add)[:, 0]


def _best(
    tree: Tree, score: np.ndarray, tie: Callable[[int], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Find the best component of every level.

    Args:
        tree: The components.
        score: Shape ``(n,)``, the highest is best.
        tie: Decides between equal scores: called, where there are any, with
            the lowest level that has some, it gives ``(n,)`` numbers of which
            the highest is best.

    Returns:
        The levels, from 1 up, and the summits of their best components.
    """
    best = np.zeros(int(tree.peak.max()) + 1, score.dtype)
    np.maximum.at(best, tree.level, score)
    found = (score == best[tree.level]).nonzero()[0]
    level = tree.level[found]
    if len(found) >= len(best):
        lowest = (np.bincount(level) > 1).argmax()
        order = np.argsort(tie(int(lowest))[found])
        found, level = found[order], level[order]
    summit = np.zeros(len(best), np.int64)
    summit[level] = tree.summit[found]  # of several the last one stays
    return np.arange(1, len(best)), summit[1:]


def _check(levels: np.ndarray) -> np.ndarray:
    """Check levels, and bring them to a type that is fast."""
    if (
        levels.ndim != 2
        or levels.dtype.kind not in 'ui'
        or levels.size
        and not 0 <= levels.min() <= levels.max() < 2**16
    ):
        raise ValueError(
            f'levels of shape {levels.shape} and type {levels.dtype}: (h, w) '
            'of whole numbers from 0 to 65535 is needed.'
        )
    small = not levels.size or levels.max() < 256
    return np.ascontiguousarray(levels, np.uint8 if small else np.uint16)


def _as_order(levels: np.ndarray, order: np.ndarray | None) -> np.ndarray:
    """Bring an order, by default the levels, to a type that can be negated."""
    order = levels if order is None else order
    return np.ascontiguousarray(order, np.result_type(order, np.float32))


def largest_components(
    levels: np.ndarray, order: np.ndarray | None = None
) -> Components:
    """Find the largest 8-connected component of ``levels >= l``, ``l >= 1``.

    By pixel count, ties to the first in raster order.

    Args:
        levels: Shape ``(h, w)``, whole numbers from 0 to 65535.
        order: See :func:`contours`.

    Returns:
        One component for each level from 1 to the highest, by rising level.

    Raises:
        ValueError: If ``levels`` are not such numbers.

    Example:
        >>> found = largest_components(np.array([[1, 2, 1, 0, 2]]))
        >>> found.level.tolist(), found.boxes.tolist()
        ([1, 2], [[0, 0, 3, 1], [1, 0, 2, 1]])
    """
    levels = _check(levels)
    if not levels.any():
        return _NOTHING
    if compiled := get_compiled():
        return compiled.largest_components(levels.astype(np.uint16))
    order = _as_order(levels, order)
    hills = Hills(levels, order, 8, framed=False)
    tree = hills.tree
    level, summit = _best(tree, hills.pixel_area(), lambda low: -hills.first(tree, low))
    return Components(level, hills.boxes()[tree.index(summit, level)])


def contours(
    levels: np.ndarray, order: np.ndarray | None = None
) -> tuple[Components, np.ndarray]:
    """Find the rectangles of all contours of ``levels >= l``, ``l >= 1``.

    Args:
        levels: Shape ``(h, w)``, whole numbers from 0 to 65535.
        order: Shape ``(h, w)``, numbers that rise wherever ``levels`` do, for
            instance the map that was rounded to levels. It changes no
            result, only the time in NumPy: pixels of one level need not be
            cut into many hills.

    Returns:
        All contours, outer and inner, in any order; and which of them is, for
        each level from 1 to the highest, the one of largest
        ``cv2.contourArea``, ties as OpenCV lists them.

    Raises:
        ValueError: If ``levels`` are not such numbers.

    Example:
        >>> ring = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 2]])
        >>> every, largest = contours(ring)
        >>> every.boxes[every.level == 1].tolist()  # the outside, the hole
        [[0, 0, 3, 3], [0, 0, 3, 3]]
        >>> every.boxes[largest].tolist()
        [[0, 0, 3, 3], [2, 2, 3, 3]]
    """
    levels = _check(levels)
    if not levels.any():
        return _NOTHING, np.zeros(0, np.int64)
    if compiled := get_compiled():
        return compiled.contours(levels.astype(np.uint16))
    order = _as_order(levels, order)
    outer = Hills(levels, order, 8, framed=False)
    # Of background above l: levels < l is inverse >= top + 1 - l.
    holes = Hills(levels.max() - levels, -order, 4, framed=True)
    level, boxes = outer.tree.level, outer.boxes()
    if len(level) == outer.span - 1:  # one a level
        largest = np.argsort(level)
    else:
        filled, area = _filled_area(outer, holes)
        at, summit = _best(filled, area, lambda low: outer.first(filled, low))
        largest = outer.tree.index(outer.tree.at(summit, at), at)
    if len(holes.tree.level):
        level = np.concatenate([level, outer.span - holes.tree.level])
        around = holes.boxes() + np.array([-1, -1, 1, 1], boxes.dtype)
        boxes = np.concatenate([boxes, around])
    return Components(level, boxes), largest
