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

What OpenCV's contours are, in these terms (proved against
``cv2.findContours(mask, RETR_TREE, ...)`` by the tests):

- An outer contour is the border of an 8-connected component; its rectangle is
  the component's.
- An inner contour is the border of a hole, a 4-connected component of the
  background that does not reach the edge of the image; it runs over the
  pixels around the hole, so its rectangle is the hole's, one pixel larger on
  each side.
- ``contourArea`` is the area of the polygon through the pixel centres. For an
  outer contour: of the component with its holes filled, each 2x2 square of
  pixels counts 1 if it has all four and 1/2 if it has three.
- The contour of largest area is always the outer contour of a component that
  lies in no hole. Of equal ones OpenCV lists the one first whose first pixel
  comes last in raster order.
"""

from collections.abc import Callable
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


def _filled_area(outer: Hills, holes: Hills) -> tuple[Tree, np.ndarray]:
    """Polygon areas of the components with the holes of every mask filled.

    A pixel of a hole is filled up to the level at which its part of the
    background joins the frame; from there on it counts for the component
    around the hole, and so do the components within the hole.

    A 2x2 square gives one half when its third pixel comes in and one half
    when its fourth does, to the component of these pixels.

    Returns:
        The tree of the filled components, in which a component that lies in
        a hole has gone over into the one around it, and twice their areas,
        ``(n,)``.
    """
    tree, span = outer.tree, outer.span
    # Holes that merge at the pass where they join the frame share what lies
    # around them, so one number stands for all of them.
    fill = [span - 1] * len(holes.tree.peak)
    fill[holes.tree.frame] = 0
    group = list(range(len(fill)))
    for height, winner, loser in reversed(holes.tree.merges):
        if winner == holes.tree.frame:
            fill[loser] = span - 1 - height
        else:
            fill[loser], group[loser] = fill[winner], group[winner]
    fill = np.array(fill)[holes.hill_summit]
    group = np.array(group)[holes.hill_summit]
    num = len(tree.peak)
    code = outer.levels.astype(np.uint16 if span * num <= 2**16 else np.int64)
    code *= num
    code += outer.summit.astype(code.dtype)

    below = (fill > span - 1 - holes.top).nonzero()[0]
    length = holes.length[below]
    hill = np.repeat(below, length)
    pixel = np.arange(len(hill))
    pixel += np.repeat(holes.start[below] - (length.cumsum() - length), length)
    filled = (outer.levels[pixel] < fill[hill]).nonzero()[0]
    if len(filled):
        hill, pixel = hill[filled], pixel[filled]
        fill, group = fill[hill], group[hill]
        last = run_ends(pixel - np.arange(len(pixel)))
        first = np.append(0, last[:-1] + 1)
        # What is left of the first pixel of a hole is around it.
        around = np.zeros(len(holes.tree.peak), np.int64)
        around[group[first][::-1]] = outer.summit[pixel[first[::-1]] - 1]
        code[pixel] = fill * num + around[group]
        # What is right of a filled run is around the hole or lies in it. Other
        # summits come up only where it is filled.
        inside, at = outer.summit[pixel], outer.levels[pixel]
        drowned = (at == tree.peak[inside]).nonzero()[0]
        one = around[group[np.append(last, drowned)]]
        two = np.append(outer.summit[pixel[last] + 1], inside[drowned])
        height = np.append(fill[last], at[drowned])
        apart = np.sort(((height * num + one) * num + two)[one != two])
        if len(apart):
            height, pair = np.divmod(apart[run_ends(apart)], num * num)
            passes = np.stack([height, *np.divmod(pair, num)])
            passes = np.concatenate([merge_rows(tree.merges), passes], 1)
            tree = Tree(tree.peak, passes[:, np.argsort(-passes[0], kind='stable')])

    # Codes sort by level first: the two lowest of each square.
    w = outer.shape[1]
    low, high = np.minimum(code[1:], code[:-1]), np.maximum(code[1:], code[:-1])
    first = np.minimum(low[w:], low[:-w])
    second = np.minimum(np.maximum(low[w:], low[:-w]), np.minimum(high[w:], high[:-w]))
    first[w - 1 :: w] = second[w - 1 :: w] = 0  # around the edge
    count = np.bincount(first, minlength=span * num)
    count += np.bincount(second, minlength=span * num)
    table = np.ascontiguousarray(count.reshape(span, num).T)[..., None]
    return tree, tree.gather(table, np.add)[:, 0]


def _best(
    tree: Tree, score: np.ndarray, tie: Callable[[int], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Best component of every level: the levels, from 1 up, and summits.

    Args:
        tree: The components.
        score: Shape ``(n,)``, the highest is best.
        tie: Called if need be, with the lowest level that asks for it: of
            equal ones the highest, ``(n,)``.
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


def _check(levels: np.ndarray, order: np.ndarray | None) -> tuple[np.ndarray, ...]:
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
    levels = np.ascontiguousarray(levels, np.uint8 if small else np.uint16)
    order = levels if order is None else order
    # A type that can be negated.
    order = np.ascontiguousarray(order, np.result_type(order, np.float32))
    return levels, order


def largest_components(
    levels: np.ndarray, order: np.ndarray | None = None
) -> Components:
    """Largest 8-connected component of ``levels >= l`` for every ``l >= 1``.

    By pixel count, ties to the first in raster order.

    Args:
        levels: Shape ``(h, w)``, whole numbers from 0 to 65535.
        order: See :func:`contours`.

    Returns:
        One component for each level from 1 to the highest, by rising level.

    Raises:
        ValueError: If ``levels`` are not such numbers.
    """
    levels, order = _check(levels, order)
    if not levels.any():
        return _NOTHING
    hills = Hills(levels, order, 8, framed=False)
    tree = hills.tree
    level, summit = _best(tree, hills.pixel_area(), lambda low: -hills.first(tree, low))
    return Components(level, hills.boxes()[tree.index(summit, level)])


def contours(
    levels: np.ndarray, order: np.ndarray | None = None
) -> tuple[Components, np.ndarray]:
    """Rectangles of all contours of ``levels >= l`` for every ``l >= 1``.

    Args:
        levels: Shape ``(h, w)``, whole numbers from 0 to 65535.
        order: Shape ``(h, w)``, numbers that rise wherever ``levels`` do, for
            instance the map that was rounded to levels. It changes no
            result, only the time: pixels of one level need not be cut into
            many hills.

    Returns:
        All contours, outer and inner, in any order; and which of them is, for
        each level from 1 to the highest, the one of largest
        ``cv2.contourArea``, ties as OpenCV lists them.

    Raises:
        ValueError: If ``levels`` are not such numbers.
    """
    levels, order = _check(levels, order)
    if not levels.any():
        return _NOTHING, np.zeros(0, np.int64)
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
