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


def _rows(merges: list[tuple[int, int, int]]) -> np.ndarray:
    return np.array(merges, np.int64).reshape(-1, 3).T


class _Tree:
    """Summits and the passes at which they merge.

    Args:
        peak: Shape ``(k,)``, int, the levels of the summits, 1 and up.
        passes: Rows ``(height, one, other)`` by falling height, ``(3, n)``.
        frame: The summit that stands for what lies around the image, if any:
            no component that it belongs to is given.
    """

    def __init__(
        self, peak: np.ndarray, passes: np.ndarray, frame: int | None = None
    ) -> None:
        self.peak, self.frame = peak, frame
        self.merges = []
        root = list(range(len(peak)))
        for height, a, b in zip(*passes.tolist()):
            while root[a] != a:
                root[a] = a = root[root[a]]
            while root[b] != b:
                root[b] = b = root[root[b]]
            if a == b:
                continue
            if b == frame:
                a, b = b, a
            root[b] = a
            self.merges.append((height, a, b))
            if len(self.merges) == len(root) - 1:
                break
        #: Level at which a summit's component goes over into its parent's.
        self.death, self.parent = np.zeros((2, len(peak)), np.int64)
        height, winner, loser = _rows(self.merges)
        self.death[loser], self.parent[loser] = height, winner
        if frame is not None:
            self.death[frame] = peak[frame]
        count = peak - self.death
        #: Summit and level of every component.
        self.summit = np.repeat(np.arange(len(peak)), count)
        self._before = count.cumsum() - count - self.death - 1
        self.level = np.arange(len(self.summit)) - self._before[self.summit]

    def index(self, summit: np.ndarray, level: np.ndarray) -> np.ndarray:
        """Where a component stands, given the summit that stands for it."""
        return self._before[summit] + level

    def at(self, summit: np.ndarray, level: np.ndarray) -> np.ndarray:
        """Summit that stands for the component of a summit at a level."""
        while len(up := (self.death[summit] >= level).nonzero()[0]):
            summit = summit.copy()
            summit[up] = self.parent[summit[up]]
        return summit

    def gather(self, table: np.ndarray, ufunc: np.ufunc) -> np.ndarray:
        """Take values of pixels down to the components.

        Args:
            table: Shape ``(summits, levels, k)``, contiguous, overwritten:
                what the pixels of exactly this summit and level give.
            ufunc: ``np.minimum`` or ``np.add``.

        Returns:
            Shape ``(n, k)``, the values of the components.
        """
        ufunc.accumulate(table[:, ::-1], axis=1, out=table[:, ::-1])
        k = table.shape[2]
        flat = table.reshape(len(table), -1)
        for height, a, b in self.merges:
            if a != self.frame:
                end = (height + 1) * k
                into = flat[a, :end]
                ufunc(into, flat[b, :end], out=into)
        return table[self.summit, self.level]


class _Hills:
    """A map cut into hills, and the tree of their summits.

    Args:
        levels: Shape ``(h, w)``, uint8 or uint16. Level 0 is in no mask.
        order: Shape ``(h, w)``, rises wherever the levels do.
        connectivity: 4 or 8.
        framed: Whether the edge of the image is open: its pixels belong to
            what lies around the image.
    """

    def __init__(
        self, levels: np.ndarray, order: np.ndarray, connectivity: int, framed: bool
    ) -> None:
        self.shape = levels.shape
        self.levels, self.order = levels.ravel(), order.ravel()
        self.span = int(levels.max()) + 1
        w = levels.shape[1]
        rise = self.order[1:] > self.order[:-1]
        start = np.ones(levels.size + 1, bool)
        start[1:-1] = rise
        np.greater(rise[1:], rise[:-1], out=start[2:-1])  # a rise after none
        start[::w] = True
        #: First pixels of the hills, in raster order; their pixels follow.
        self.start = start.nonzero()[0]
        self.length = self.start[1:] - self.start[:-1]
        start, self.start = start[:-1], self.start[:-1]
        #: Levels of the hills' peaks.
        self.top = np.maximum.reduceat(self.levels, self.start)
        one, two, height = self._borders(levels, start, connectivity, framed)
        used = height.nonzero()[0]
        one, two, height = one[used], two[used], height[used]

        # A hill with a pass as high as its peak belongs to a higher one, and so
        # on, until summits are left.
        num = len(self.start) + framed
        rank = self.top * np.int64(num) + np.arange(len(self.top))
        if framed:
            rank = np.append(rank, np.iinfo(np.int64).max)
        root = np.arange(num)
        while True:
            lower = rank[one] < rank[two]
            one, two = np.where(lower, one, two), np.where(lower, two, one)
            climb = (height == self.top[one]).nonzero()[0]
            if not len(climb):
                break
            up = np.arange(num)
            up[one[climb]] = two[climb]
            while ((further := up[up]) != up).any():
                up = further
            root, one, two = up[root], up[one], up[two]
            apart = (one != two).nonzero()[0]
            one, two, height = one[apart], two[apart], height[apart]
        summits = root == np.arange(num)
        summits[: len(self.top)] &= self.top > 0
        summits = summits.nonzero()[0]
        index = np.zeros(num, np.int32)  # 0 for a hill of level 0, as good as any
        index[summits] = np.arange(len(summits))
        root = index[root]
        #: Summit of every hill, and of every pixel.
        self.hill_summit = root[: len(self.top)]
        self.summit = np.repeat(self.hill_summit, self.length)
        frame = len(summits) - 1 if framed else None
        peak = np.append(self.top, self.span - 1)[summits].astype(np.int64)
        self.tree = _Tree(peak, _highest(index[one], index[two], height), frame)

    def _borders(
        self, levels: np.ndarray, start: np.ndarray, connectivity: int, framed: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Neighbouring hills and the highest pass of each border."""
        flat, num = self.levels, len(self.start)
        h, w = levels.shape
        column = self.start % w
        right = column.nonzero()[0]
        at = self.start[right]
        borders = [(right - 1, right, np.minimum(flat[at - 1], flat[at]))]
        row = (column == 0).nonzero()[0]  # first hill of each row
        if h > 1:
            at = (start[:-w] | start[w:]).nonzero()[0]
            one = start[at].cumsum() - 1
            two = start[at + w].cumsum() + row[1] - 1
            height = np.maximum.reduceat(np.minimum(flat[:-w], flat[w:]), at)
            borders.append((one, two, height))
        if connectivity == 8 and h > 1 and w > 1:
            # A diagonal counts where it is higher than the two other pixels.
            down = levels[:-1, :-1], levels[1:, 1:]
            up = levels[:-1, 1:], levels[1:, :-1]
            for these, others, shift in ((down, up, 0), (up, down, 1)):
                higher = np.minimum(*these) > np.maximum(*others)
                at = higher.ravel().nonzero()[0]
                one = at + at // (w - 1) + shift
                two = one + w + 1 - 2 * shift
                height = np.minimum(flat[one], flat[two])
                one, two = (
                    np.searchsorted(self.start, at, 'right') - 1 for at in (one, two)
                )
                borders.append((one, two, height))
        if framed:
            hills = np.arange(num)
            for hill, height in (
                (row, flat[::w]),
                (np.append(row[1:], num) - 1, flat[w - 1 :: w]),
                (hills[: row[1] if h > 1 else num], self.top),
                (hills[row[-1] :], self.top[row[-1] :]),
            ):
                borders.append((hill, np.full(len(hill), num), height[: len(hill)]))
        return tuple(np.concatenate(x) for x in zip(*borders))

    def _table(self, fill: int, dtype: type, k: int) -> np.ndarray:
        return np.full((len(self.tree.peak), self.span, k), fill, dtype)

    def boxes(self) -> np.ndarray:
        """Boxes of the components, ``(n, 4)`` int.

        A component's outermost rows hold a peak of a row, its outermost
        columns one of a column.
        """
        h, w = self.shape
        table = self._table(max(h, w), np.int16 if max(h, w) < 2**15 else np.int32, 4)
        flat = table.reshape(-1)
        peak = np.ones(len(self.order), bool)
        rise = self.order[w:] > self.order[:-w]
        peak[w:] = rise
        np.greater(peak[:-w], rise, out=peak[:-w])
        pixel = peak.nonzero()[0]
        for axis, summit, level, place in (
            (0, self.summit[pixel], self.levels[pixel], pixel % w),
            (1, self.hill_summit, self.top, self.start // w),
        ):
            cell = (summit * np.int64(self.span) + level) * 4 + axis
            place = place.astype(table.dtype)
            np.minimum.at(flat, cell, place)
            np.minimum.at(flat, cell + 2, -place)
        # Columns apart: what follows runs along them.
        boxes = np.asfortranarray(self.tree.gather(table, np.minimum))
        boxes[:, 2:] = 1 - boxes[:, 2:]
        return boxes

    def first(self, tree: _Tree, lowest: int = 1) -> np.ndarray:
        """First pixels, in raster order, of a tree's components, ``(n,)``.

        Only of those at the lowest level asked for and above.
        """
        table = self._table(len(self.levels), np.int64, 1)
        pixel = (self.levels >= lowest).nonzero()[0][::-1]
        cell = self.summit[pixel] * np.int64(self.span) + self.levels[pixel]
        table.reshape(-1)[cell] = pixel  # of several the last one stays
        return tree.gather(table, np.minimum)[:, 0]

    def pixel_area(self) -> np.ndarray:
        """Numbers of pixels of the components, ``(n,)``."""
        cell = self.summit * np.int64(self.span) + self.levels
        table = np.bincount(cell, minlength=len(self.tree.peak) * self.span)
        table = table.reshape(-1, self.span, 1)
        return self.tree.gather(table, np.add)[:, 0]


def _ends(values: np.ndarray) -> np.ndarray:
    """Last index of each run of equal values, in order."""
    last = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=last[:-1])
    return last.nonzero()[0]


def _highest(one: np.ndarray, two: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Highest pass between any two summits, by falling height, ``(3, n)``."""
    num = int(max(one.max(initial=0), two.max(initial=0))) + 1
    pair = np.minimum(one, two).astype(np.int64) * num + np.maximum(one, two)
    code = np.sort((pair << 16) + height)
    code = code[_ends(code >> 16)]
    code = code[np.argsort(-(code & 0xFFFF), kind='stable')]
    return np.stack([code & 0xFFFF, *np.divmod(code >> 16, num)])


def _filled_area(outer: _Hills, holes: _Hills) -> tuple[_Tree, np.ndarray]:
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
        last = _ends(pixel - np.arange(len(pixel)))
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
            height, pair = np.divmod(apart[_ends(apart)], num * num)
            passes = np.stack([height, *np.divmod(pair, num)])
            passes = np.concatenate([_rows(tree.merges), passes], 1)
            tree = _Tree(tree.peak, passes[:, np.argsort(-passes[0], kind='stable')])

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
    tree: _Tree, score: np.ndarray, tie: Callable[[int], np.ndarray]
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
    hills = _Hills(levels, order, 8, framed=False)
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
    outer = _Hills(levels, order, 8, framed=False)
    # Of background above l: levels < l is inverse >= top + 1 - l.
    holes = _Hills(levels.max() - levels, -order, 4, framed=True)
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
