"""All components of a map at all its thresholds, in one pass.

The components of the masks ``level >= l`` nest as ``l`` falls: they grow and
merge, nothing else. Every pixel is led uphill to the summit that it belongs
to (pointer jumping), the summits merge at the highest passes between them
(a union-find over the passes, by falling height), and what is wanted of a
component (its box, its area) is a minimum or a sum over its pixels, taken down
the levels. The work grows with the number of summits, not of thresholds.

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

from typing import NamedTuple

import cv2
import numpy as np

_KERNELS = {
    4: cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)),
    8: np.ones((3, 3), np.uint8),
}


class Components(NamedTuple):
    """Components (or contours) at many levels, by rising level.

    Attributes:
        level: Shape ``(n,)``, int; the component is one of the mask
            ``levels >= level``, 1 and up.
        boxes: Shape ``(n, 4)``, int, ``xyxy`` pixels, max exclusive.
    """

    level: np.ndarray
    boxes: np.ndarray


_NOTHING = Components(np.zeros(0, np.int64), np.zeros((0, 4), np.int16))


class _Forest:
    """Summits of a map and the passes at which they merge.

    Args:
        levels: Shape ``(h, w)``, non-negative int. Level 0 is in no mask.
        summit: Shape ``(h, w)``, int32, the summit of every pixel: one that
            it shares a component with at its own level.
        peak: Shape ``(k,)``, int64, the levels of the summits, 0 for a
            summit that stands for nothing.
        connectivity: 4 or 8.
        frame: The summit that stands for what lies around the image: no
            component that it belongs to is given.
    """

    def __init__(
        self,
        levels: np.ndarray,
        summit: np.ndarray,
        peak: np.ndarray,
        connectivity: int,
        frame: int | None = None,
    ) -> None:
        self.levels, self.summit, self.peak = levels, summit, peak
        self.connectivity, self.frame = connectivity, frame
        self.num_levels = int(peak.max())
        self.merges = self._merge()
        death = np.zeros_like(peak)
        for height, _, loser in self.merges:
            death[loser] = height
        if frame is not None:
            death[frame] = self.num_levels
        rows = np.arange(self.num_levels + 1)[:, None]
        #: Level and summit of every component, by rising level.
        self.alive = np.nonzero((rows > death) & (rows <= peak))

    def _passes(self) -> np.ndarray:
        """Highest pass between any two summits, ``(3, n)``, by height."""
        w = self.levels.shape[1]
        summit, level = self.summit.ravel(), self.levels.ravel()
        num, span = len(self.peak), self.num_levels + 1
        codes = []
        for dy, dx in [(0, 1), (1, 0), (1, 1), (1, -1)][: self.connectivity // 2]:
            shift = dy * w + dx
            if shift <= 0 or shift >= level.size:  # one pixel wide or high
                continue
            one = np.flatnonzero(summit[shift:] != summit[:-shift])
            if dx:  # not around the edge
                x = one % w
                one = one[x < w - 1] if dx > 0 else one[x > 0]
            two = one + shift
            height = np.minimum(level[one], level[two])
            one, two = summit[one], summit[two]
            codes.append(
                (np.minimum(one, two).astype(np.int64) * num + np.maximum(one, two))
                * span
                + height
            )
        code = np.sort(np.concatenate([np.zeros(0, np.int64), *codes]))
        pair, height = np.divmod(code, span)
        last = np.flatnonzero((np.diff(pair, append=-1) != 0) & (height > 0))
        last = last[np.argsort(-height[last], kind='stable')]
        return np.stack([height[last], *np.divmod(pair[last], num)])

    def _merge(self) -> list[tuple[int, int, int]]:
        """Merge summits at their passes: (height, winner, loser)."""
        num = len(self.peak)
        if num < 2:
            return []
        merges = []
        parent = list(range(num))
        for height, a, b in zip(*self._passes().tolist()):
            while parent[a] != a:
                parent[a] = a = parent[parent[a]]
            while parent[b] != b:
                parent[b] = b = parent[parent[b]]
            if a == b:
                continue
            if b == self.frame:
                a, b = b, a
            parent[b] = a
            merges.append((height, a, b))
            if len(merges) == num - 1:
                break
        return merges

    def _gather(self, table: np.ndarray, ufunc: np.ufunc) -> np.ndarray:
        """Take values of pixels down to the components of ``alive``.

        Args:
            table: Shape ``(summits, num_levels + 1, k)``, contiguous: what
                the pixels of exactly this summit and level give.
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
        level, summit = self.alive
        return table[summit, level]

    def _table(self, fill: int, dtype, k: int) -> np.ndarray:
        return np.full((len(self.peak), self.num_levels + 1, k), fill, dtype)

    def _ends(self, axis: int, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Pixels that have none of their component beside them.

        A pixel is no end if one on that side, a step away, is in its
        component at its own level; a component's outermost pixels are always
        among the ends.

        Args:
            axis: 0 for above and below, 1 for left and right.
            step: -1 for above or left, 1 for below or right.

        Returns:
            The pixels, in raster order, and their cells of a flat table.
        """
        level = self.levels
        back, front = np.s_[:-1], np.s_[1:]
        if axis == 0:
            here, beside = (front, back) if step < 0 else (back, front)
            back, front = np.s_[:, :-1], np.s_[:, 1:]
        else:
            here, beside = np.s_[:, 1:], np.s_[:, :-1]
            if step > 0:
                here, beside = beside, here
        side = level[beside]
        reach = side.copy()
        # One step across, then to the side: with 4 neighbours over both.
        around = side if self.connectivity == 8 else np.minimum(side, level[here])
        np.maximum(reach[front], around[back], out=reach[front])
        np.maximum(reach[back], around[front], out=reach[back])
        ends = level > 0
        ends[here] &= reach < level[here]
        pixel = np.flatnonzero(ends)
        code = self.summit.ravel()[pixel] * np.int64(self.num_levels + 1)
        code += level.ravel()[pixel]
        return pixel, code

    def boxes(self) -> np.ndarray:
        """Boxes of the components, ``(n, 4)`` int."""
        h, w = self.levels.shape
        dtype = np.int16 if max(h, w) < 2**15 else np.int32
        table = self._table(max(h, w), dtype, 4)
        flat = table.reshape(-1)
        row = np.repeat(np.arange(h, dtype=dtype), w)
        column = np.tile(np.arange(w, dtype=dtype), h)
        for i, (axis, step) in enumerate([(1, -1), (0, -1), (1, 1), (0, 1)]):
            pixel, code = self._ends(axis, step)
            place = (column if axis else row)[pixel]
            np.minimum.at(flat, 4 * code + i, -place if step > 0 else place)
        boxes = self._gather(table, np.minimum)
        boxes[:, 2:] = 1 - boxes[:, 2:]
        return boxes

    def first(self) -> np.ndarray:
        """First pixels, in raster order, of the components, ``(n,)``."""
        table = self._table(self.levels.size, np.int64, 1)
        pixel, code = self._ends(0, -1)
        # Of several pixels that write one cell, the last one stays.
        table.reshape(-1)[code[::-1]] = pixel[::-1]
        return self._gather(table, np.minimum)[:, 0]

    def _sum(self, *codes: np.ndarray) -> np.ndarray:
        """Count pixels, given as ``level * summits + summit``."""
        num = len(self.peak)
        count = sum(
            np.bincount(code.ravel(), minlength=(self.num_levels + 1) * num)
            for code in codes
        )
        table = np.ascontiguousarray(count.reshape(-1, num).T)
        return self._gather(table[..., None], np.add)[:, 0]

    def _codes(self) -> np.ndarray:
        return self.levels * np.int64(len(self.peak)) + self.summit

    def pixel_area(self) -> np.ndarray:
        """Numbers of pixels of the components, ``(n,)``."""
        return self._sum(self._codes())

    def polygon_area(self) -> np.ndarray:
        """Twice the area of the components' 2x2 squares, ``(n,)``.

        A square gives one half when its third pixel comes in and one half
        when its fourth does, to the component of these pixels.
        """
        code = self._codes()
        # Codes sort by level first: the two lowest of each square.
        low = np.minimum(code[:, 1:], code[:, :-1])
        high = np.maximum(code[:, 1:], code[:, :-1])
        second = np.minimum(
            np.maximum(low[1:], low[:-1]), np.minimum(high[1:], high[:-1])
        )
        return self._sum(np.minimum(low[1:], low[:-1]), second)


def _order(levels: np.ndarray, hint: np.ndarray | None) -> tuple[np.ndarray, int]:
    """Distinct keys in the order of the levels, with the index in low bits.

    Whole numbers below 2 ** 53, exact in float64, the widest type that
    OpenCV's dilate and erode take; the hint is dropped where it has no room.
    """
    bits = (levels.size - 1).bit_length()
    key = levels.astype(np.float64)
    if hint is not None and int(levels.max()) < 2 ** (53 - 16 - bits):
        key *= 2**16
        key += hint
    key *= 2**bits
    key += np.arange(levels.size, dtype=np.float64).reshape(levels.shape)
    return key, (1 << bits) - 1


def _climb(key: np.ndarray, mask: int, border: bool = False) -> np.ndarray:
    """Follow every pixel's highest (or lowest) neighbour to the end.

    Args:
        key: The neighbours' keys, dilated or eroded, ``(h, w)``.
        mask: Gives the index in a key.
        border: Send the image's edge to pixel 0.

    Returns:
        Shape ``(h * w,)``, the indices of the last pixels.
    """
    up = key.astype(np.int64)
    up &= mask
    if border:
        up[[0, -1]] = 0
        up[:, [0, -1]] = 0
    up = up.ravel()
    for _ in range(4):
        up = up[up]
    while True:
        further = up[up]
        if np.array_equal(further, up):
            return up
        up = further


def _number(up: np.ndarray, used: np.ndarray) -> tuple[np.ndarray, ...]:
    """Number the summits: their pixels, and the summit of every pixel."""
    pixels = np.flatnonzero(up == np.arange(len(up)))
    pixels = pixels[used.ravel()[pixels]]
    index = np.zeros(len(up), np.int32)
    index[pixels] = np.arange(len(pixels), dtype=np.int32)
    return pixels, index[up].reshape(used.shape)


def _foreground(
    levels: np.ndarray, key: np.ndarray, mask: int
) -> tuple[_Forest, np.ndarray]:
    """8-connected components and the pixels of their summits."""
    up = _climb(cv2.dilate(key, _KERNELS[8]), mask)
    pixels, summit = _number(up, levels > 0)
    peak = levels.ravel()[pixels].astype(np.int64)
    return _Forest(levels, summit, peak, 8), pixels


def _background(levels: np.ndarray, key: np.ndarray, mask: int) -> _Forest:
    """4-connected components of what lies below, on the inverted map.

    ``levels < l`` is ``inverse >= top + 1 - l``. The edge of the image is
    open: its pixels belong to the frame, summit 0.
    """
    up = _climb(cv2.erode(key, _KERNELS[4]), mask, border=True)
    top = levels.max()
    inverse = top - levels
    used = inverse > 0
    used[0, 0] = True
    pixels, summit = _number(up, used)
    peak = inverse.ravel()[pixels].astype(np.int64)
    peak[0] = top
    return _Forest(inverse, summit, peak, 4, frame=0)


def _fill_holes(outer: _Forest, summits: np.ndarray, holes: _Forest) -> _Forest:
    """Components of the map with the holes of every mask filled.

    At a level these are the components that lie in no hole, filled. A pixel
    is filled up to the level at which its part of the background joins the
    frame; it then belongs to the component around the hole.
    """
    levels = outer.levels
    num = len(holes.peak)
    # Holes that merge at the pass where they join the frame share what lies
    # around them, so one number stands for all of them.
    joins = np.zeros(num, np.int64)  # a level of the inverted map
    group = np.arange(num)
    joins[holes.frame] = outer.num_levels
    for height, winner, loser in reversed(holes.merges):
        if winner == holes.frame:
            joins[loser] = height
        else:
            joins[loser], group[loser] = joins[winner], group[winner]
    fill = (outer.num_levels - joins).astype(levels.dtype)[holes.summit]
    filled = np.flatnonzero(fill > levels)
    if not len(filled):
        return outer
    # What is left of the first pixel of a hole is around it.
    groups = group[holes.summit.ravel()[filled]]
    around = np.zeros(num, np.int32)
    around[groups[::-1]] = outer.summit.ravel()[filled[::-1] - 1]
    summit = outer.summit.copy()
    summit.ravel()[filled] = around[groups]
    fill = np.maximum(fill, levels)
    # A summit within a hole hands its pixels on.
    alone = fill.ravel()[summits] == outer.peak
    if not alone.all():
        heir = np.where(alone, np.arange(len(summits)), summit.ravel()[summits])
        summit = heir.astype(np.int32)[summit]
    return _Forest(fill, summit, outer.peak * alone, 8)


def _check(levels: np.ndarray) -> np.ndarray:
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
    return levels.astype(np.uint8 if small else np.uint16)


def largest_components(
    levels: np.ndarray, hint: np.ndarray | None = None
) -> Components:
    """Largest 8-connected component of ``levels >= l`` for every ``l >= 1``.

    By pixel count, ties to the first in raster order.

    Args:
        levels: Shape ``(h, w)``, whole numbers from 0 to 65535.
        hint: Order within a level, see :func:`contours`.

    Returns:
        One component for each level from 1 to the highest.

    Raises:
        ValueError: If ``levels`` are not such numbers.
    """
    levels = _check(levels)
    if not levels.any():
        return _NOTHING
    forest, _ = _foreground(levels, *_order(levels, hint))
    level = forest.alive[0]
    best = np.lexsort((-forest.first(), forest.pixel_area(), level))
    best = best[np.flatnonzero(np.diff(level[best], append=-1))]
    return Components(level[best], forest.boxes()[best])


def contours(
    levels: np.ndarray, hint: np.ndarray | None = None
) -> tuple[Components, Components]:
    """Rectangles of all contours of ``levels >= l`` for every ``l >= 1``.

    Args:
        levels: Shape ``(h, w)``, whole numbers from 0 to 65535.
        hint: Any order of the pixels within a level, ``(h, w)``, whole
            numbers below ``2 ** 16``, for instance the digits that the
            rounding to levels cut off. It changes no result, only the time.

    Returns:
        All contours, outer and inner; and for each level from 1 to the
        highest the contour of largest ``cv2.contourArea``, ties as OpenCV
        lists them.

    Raises:
        ValueError: If ``levels`` are not such numbers.
    """
    levels = _check(levels)
    if not levels.any():
        return _NOTHING, _NOTHING
    key, mask = _order(levels, hint)
    outer, summits = _foreground(levels, key, mask)
    holes = _background(levels, key, mask)
    level, boxes, first = outer.alive[0], outer.boxes(), outer.first()
    filled = _fill_holes(outer, summits, holes)
    # By polygon area, ties to the last first pixel, at every level. The
    # component has this first pixel with and without its holes.
    size = levels.size
    score = filled.polygon_area() * size
    score += first if filled is outer else filled.first()
    every = np.arange(1, outer.num_levels + 1)
    start = np.searchsorted(filled.alive[0], every)
    pixel = np.maximum.reduceat(score, start) % size
    code = level * size + first
    order = np.argsort(code)
    largest = order[np.searchsorted(code, every * size + pixel, sorter=order)]
    largest = Components(level[largest], boxes[largest])
    if filled is not outer:
        # Of background above l: levels < l is inverse >= top + 1 - l.
        hole_level = outer.num_levels + 1 - holes.alive[0]
        hole_boxes = holes.boxes() + np.array([-1, -1, 1, 1], boxes.dtype)
        level = np.concatenate([level, hole_level])
        boxes = np.concatenate([boxes, hole_boxes])
        order = np.argsort(level, kind='stable')
        level, boxes = level[order], boxes[order]
    return Components(level, boxes), largest
