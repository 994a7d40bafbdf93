"""The components of all masks, compiled by numba (the extra ``fast``).

Gives what :mod:`bas_mm.localization.component_tree` gives, which explains the
terms. Beyond it, as loops cost nothing here: plateaus lie within hills, no order
is needed; a border is searched between two peaks alone; a component is a number,
``before[summit] + level``, no table of all levels is held; and the largest
contours are those of the map with its holes filled.

A tree is one array, ``(7, hills + 1)`` int64, with the rows named below. The
last column is the frame; it has no component where the map is not framed.
"""

import numpy as np
from numba import njit

from bas_mm.localization.component_tree import Components, squares

#: First pixels of the hills, in raster order, and their peaks (the last pixels
#: of these); levels of the peaks (the frame's is above all); the level at which
#: a hill goes over into its parent, 0 if never; see above; and, apart from
#: these columns, all hills so that the higher death comes first.
START, PEAK, TOP, DEATH, PARENT, BEFORE, ORDER = range(7)


@njit(cache=True)
def _cut(flat: np.ndarray, w: int, ends: np.ndarray) -> int:
    """Cut rows of ``w`` pixels into hills, ``START`` and ``PEAK``; count them."""
    num = 0
    for begin in range(0, len(flat), w):
        line = flat[begin : begin + w]  # whose indices are known not to be negative
        before, falls, peak = line[0], False, 0
        ends[START, num] = begin
        for x in range(1, len(line)):
            level = line[x]
            if level < before:
                falls = True
            elif not falls:
                peak = x
            elif level > before:
                ends[PEAK, num] = begin + peak
                num += 1
                ends[START, num] = begin + x
                falls, peak = False, x
            before = level
        ends[PEAK, num] = begin + peak
        num += 1
    ends[START, num] = len(flat)
    return num


@njit(cache=True)
def _pass(
    flat: np.ndarray, w: int, tree: np.ndarray, i: int, j: int, diagonal: bool
) -> int:
    """Find the highest pass between hill i and hill j of the row below.

    Both fall to either side of their peaks: it lies between these, or where
    the columns that they share come next to it. A diagonal is higher only
    where one row falls and the other one rises.
    """
    one, two = tree[PEAK, i], tree[PEAK, j] - w
    begin, end = tree[START, j] - w, tree[START, j + 1] - w
    low, high = max(tree[START, i], begin), min(tree[START, i + 1], end) - 1
    first, last = min(max(min(one, two), low), high), max(min(max(one, two), high), low)
    height = 0
    for p in range(first, last + 1):
        height = max(height, min(flat[p], flat[p + w]))
    if diagonal:
        for p in range(max(one, begin - 1), min(tree[START, i + 1] - 1, two)):
            height = max(height, min(flat[p], flat[p + w + 1]))
        for p in range(max(two, tree[START, i] - 1), min(end - 1, one)):
            height = max(height, min(flat[p + 1], flat[p + w]))
    return height


@njit(cache=True)
def _put(borders: np.ndarray, one: int, two: int, height: int) -> None:
    """Write a border down; ``borders[0, 0]`` counts them."""
    num = borders[0, 0] + 1
    borders[0, 0] = num
    borders[0, num], borders[1, num], borders[2, num] = height, one, two


@njit(cache=True)
def _neighbors(
    flat: np.ndarray, w: int, tree: np.ndarray, framed: bool, borders: np.ndarray
) -> None:
    """Find the borders of all hills: height, one, other."""
    frame, j = tree.shape[1] - 1, 0
    while tree[START, j] < w:
        j += 1
    for i in range(frame):
        begin, end = tree[START, i], tree[START, i + 1]
        if begin % w:
            _put(borders, i - 1, i, flat[begin - 1])
        elif framed:
            _put(borders, frame, i, flat[begin])
        if framed:
            if end % w == 0:
                _put(borders, frame, i, flat[end - 1])
            if begin < w or begin + w >= len(flat):
                _put(borders, frame, i, flat[tree[PEAK, i]])
        while j < frame:
            _put(borders, i, j, _pass(flat, w, tree, i, j, not framed))
            past = tree[START, j + 1] - w - end
            j += past <= 0
            if past >= 0:
                break


@njit(cache=True)
def _merge(tree: np.ndarray, span: int, borders: np.ndarray) -> None:
    """Merge hills over the borders, by falling height, and number components."""
    num, total = tree.shape[1], borders[0, 0]
    place, rank = np.zeros(span + 1, np.int64), np.empty(total, np.int64)
    for k in range(1, total + 1):
        place[span - borders[0, k]] += 1
    for level in range(span):
        place[level + 1] += place[level]
    for k in range(total, 0, -1):
        level = span - borders[0, k]
        place[level] -= 1
        rank[place[level]] = k
    root = np.arange(num)
    merged = 0
    for k in rank[: place[span]]:  # without those of height 0
        a, b = borders[1, k], borders[2, k]
        while root[a] != a:
            root[a] = a = root[root[a]]
        while root[b] != b:
            root[b] = b = root[root[b]]
        if a != b:
            if tree[TOP, a] < tree[TOP, b]:
                a, b = b, a
            root[b] = tree[PARENT, b] = a
            tree[DEATH, b], tree[ORDER, merged] = borders[0, k], b
            merged += 1
    for k in range(merged - 1, -1, -1):  # past parents that end there too
        b = tree[ORDER, k]
        a = tree[PARENT, b]
        if tree[DEATH, a] == tree[DEATH, b]:
            tree[PARENT, b] = tree[PARENT, a]
    count = 0
    for i in range(num):
        if tree[DEATH, i] == 0:
            tree[ORDER, merged] = i
            merged += 1
        tree[BEFORE, i] = count - tree[DEATH, i] - 1
        count += tree[TOP, i] - tree[DEATH, i]


def _grow(
    levels: np.ndarray, span: int, framed: bool, cut: np.ndarray | None = None
) -> np.ndarray:
    """Build the tree of a map, uint16, whose levels are below ``span``.

    Its pixels are 8-connected; framed, 4-connected, and the edge is open. Its
    hills are those of the tree ``cut``, if there is one.
    """
    (h, w), flat = levels.shape, levels.ravel()
    if cut is None:
        cut = np.empty((2, h * w + 1), np.int32)
        cut = cut[:, : _cut(flat, w, cut) + 1]
    num = cut.shape[1] - 1
    tree = np.zeros((7, num + 1), np.int64)
    tree[:2] = cut[:2]
    tree[TOP, :num] = flat[tree[PEAK, :num]]
    tree[TOP, num] = span if framed else 0
    borders = np.empty((3, 5 * num + 2 * h + 1), np.int32)
    borders[0, 0] = 0
    _neighbors(flat, w, tree, framed, borders)
    _merge(tree, span, borders)
    return tree


def _levels(tree: np.ndarray) -> np.ndarray:
    """List the levels of all components."""
    before, count = tree[BEFORE], tree[TOP] - tree[DEATH]
    return np.arange(before[-1] + tree[TOP, -1] + 1) - np.repeat(before, count)


@njit(cache=True)
def _at(tree: np.ndarray, hill: int, level: int) -> int:
    """Find the summit of the component of a hill at a level, 1 and up."""
    while tree[DEATH, hill] >= level:
        hill = tree[PARENT, hill]
    return hill


@njit(cache=True)
def _carry(tree: np.ndarray, table: np.ndarray, sums: int) -> None:
    """Take values of pixels down to the components, ``(k, n)``, in place.

    The first ``sums`` rows add up, of the others the lowest one counts.
    """
    for s in tree[ORDER]:
        top, death, before = tree[TOP, s], tree[DEATH, s], tree[BEFORE, s]
        for c in range(before + top, before + death, -1):
            to = c - 1
            if to == before + death:
                if death == 0:
                    break
                to = tree[BEFORE, _at(tree, tree[PARENT, s], death)] + death
            for k in range(len(table)):
                if k < sums:
                    table[k, to] += table[k, c]
                else:
                    table[k, to] = min(table[k, to], table[k, c])


@njit(cache=True)
def _boxes(tree: np.ndarray, flat: np.ndarray, w: int) -> np.ndarray:
    """Find the boxes of all components, except those of the frame.

    Returns:
        First x, first y, ``-1 - x`` and ``-1 - y`` of the last ones, ``(4, n)``.
    """
    frame, size = tree.shape[1] - 1, len(flat)
    num = tree[BEFORE, frame] + tree[TOP, frame] + 1
    table = np.full((4, num), size, np.int32)
    for i in range(frame):
        top, begin, end = tree[TOP, i], tree[START, i], tree[START, i + 1]
        s = _at(tree, i, top) if top else frame
        if s == frame:
            continue
        y, c = begin // w, tree[BEFORE, s] + top
        table[1, c], table[3, c] = min(table[1, c], y), min(table[3, c], -1 - y)
        # The outermost columns hold a peak of a column.
        first, last, here = begin < w, begin + w >= size, flat[begin:end]
        above = here if first else flat[begin - w : end - w]
        below = here if last else flat[begin + w : end + w]
        for k in range(len(here)):
            level = here[k]
            if level and (first or level > above[k]) and level >= below[k]:
                c, x = tree[BEFORE, _at(tree, i, level)] + level, begin - y * w + k
                table[0, c], table[2, c] = min(table[0, c], x), min(table[2, c], -1 - x)
    _carry(tree, table, 0)
    return table


@njit(cache=True)
def _areas(tree: np.ndarray, marks: np.ndarray, least: int) -> np.ndarray:
    """Find the areas of all components, and their first hills, ``(2, n)``.

    Each of ``marks``, ``(k, pixels)``, adds one to the area of the component of
    its pixel's hill at that level, if it is at ``least`` that high, 1 and up.
    """
    frame = tree.shape[1] - 1
    table = np.zeros((2, tree[BEFORE, frame] + tree[TOP, frame] + 1), np.int32)
    table[1, :] = frame
    for i in range(frame):
        top = tree[TOP, i]
        if top == 0:
            continue
        c = tree[BEFORE, _at(tree, i, top)] + top
        table[1, c] = min(table[1, c], i)
        for k in range(len(marks)):
            # From level `death + 1` to `upper`, the hill's summit is `s`.
            s, death, upper, before = i, tree[DEATH, i], top, tree[BEFORE, i]
            for level in marks[k, tree[START, i] : tree[START, i + 1]]:
                if level < least:
                    continue
                if level <= death or level > upper:
                    s, upper = i, top
                    while tree[DEATH, s] >= level:
                        upper = tree[DEATH, s]
                        s = tree[PARENT, s]
                    death, before = tree[DEATH, s], tree[BEFORE, s]
                table[0, before + level] += 1
    _carry(tree, table, 1)
    return table


@njit(cache=True)
def _largest(
    tree: np.ndarray, marks: np.ndarray, least: int, best: np.ndarray, sign: int
) -> None:
    """Find the component of largest area of each level, from 1 up.

    Args:
        tree: The tree.
        marks: See :func:`_areas`.
        least: See there.
        best: The first hills of what is found, in place, ``(span - 1,)``.
        sign: Of equal ones that wins whose first pixel comes last (1) or
            first (-1).
    """
    areas = _areas(tree, marks, least)
    best[:] = -1
    for s in range(tree.shape[1]):
        for level in range(tree[DEATH, s] + 1, tree[TOP, s] + 1):
            c, other = tree[BEFORE, s] + level, best[level - 1]
            more = areas[0, c] - areas[0, other]
            if more == 0:
                more = sign * (areas[1, c] - areas[1, other])
            if other < 0 or more > 0:
                best[level - 1] = c
    for k in range(len(best)):
        best[k] = areas[1, best[k]]


@njit(cache=True)
def _find(tree: np.ndarray, hills: np.ndarray) -> None:
    """Give, in place, the components of hills at the levels 1, 2, ..."""
    for k in range(len(hills)):
        hills[k] = tree[BEFORE, _at(tree, hills[k], k + 1)] + k + 1


@njit(cache=True)
def _fill(tree: np.ndarray, flat: np.ndarray, span: int) -> None:
    """Raise pixels, in place, to the highest level at which they lie in a hole.

    The tree is that of the inverse levels, framed.
    """
    frame = tree.shape[1] - 1
    join = np.zeros(frame + 1, np.int64)  # inverse level at which it is outside
    join[frame] = span
    for s in tree[ORDER][::-1]:
        if tree[DEATH, s]:
            parent = tree[PARENT, s]
            join[s] = tree[DEATH, s] if parent == frame else join[parent]
    for i in range(frame):
        if join[i] < tree[TOP, i]:
            for p in range(tree[START, i], tree[START, i + 1]):
                flat[p] = max(flat[p], span - 1 - join[i])


@njit(cache=True)
def best_iou(
    level: np.ndarray, boxes: np.ndarray, edge: np.ndarray, truth: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """See ``_best_iou`` of :mod:`bas_mm.localization.sweep`."""
    iou, best = np.zeros(len(level)), np.zeros(level.max())
    for k in range(len(level)):
        again = k > 0  # over many levels that follow each other
        for side in range(4):
            again &= boxes[k, side] == boxes[k - again, side]
        if again:
            iou[k] = iou[k - 1]
        else:
            x0, y0 = min(boxes[k, 0], edge[0]), min(boxes[k, 1], edge[1])
            x1, y1 = min(boxes[k, 2], edge[2]), min(boxes[k, 3], edge[3])
            area = (x1 - x0 + 1.0) * (y1 - y0 + 1.0)
            for g in range(len(truth)):
                a, b, c, d = truth[g, 0], truth[g, 1], truth[g, 2], truth[g, 3]
                inter = max(min(x1, c) - max(x0, a) + 1.0, 0.0)
                inter *= max(min(y1, d) - max(y0, b) + 1.0, 0.0)
                union = area + (c - a + 1.0) * (d - b + 1.0) - inter
                iou[k] = max(iou[k], inter / union)
        best[level[k] - 1] = max(best[level[k] - 1], iou[k])
    return iou, best


def contours(levels: np.ndarray) -> tuple[Components, np.ndarray]:
    """See :func:`bas_mm.localization.contours`; levels are uint16, not all 0."""
    w, span = levels.shape[1], int(levels.max()) + 1
    outer, inverse = _grow(levels, span, False), span - 1 - levels
    inner = _grow(inverse, span, True)
    level, hole_level = _levels(outer), span - _levels(inner)[:-span]
    boxes = _boxes(outer, levels.ravel(), w)
    several = np.bincount(level) > 1  # only these levels ask for areas
    tree = outer
    if len(hole_level):
        level = np.append(level, hole_level)
        around = _boxes(inner, inverse.ravel(), w)
        boxes = np.append(boxes, around[:, :-span] - 1, 1)
        if several.any():
            # A filled plateau lies at an end of a hill, or takes it in whole.
            levels = levels.copy()
            _fill(inner, levels.ravel(), span)
            tree = _grow(levels, span, False, outer)
    marks = np.zeros((2, levels.size), np.uint16)
    if several.any():
        # Of the upper two the right one has the mark. Where it is of another
        # hill than the left one, it is higher.
        marks[:, 1 : levels.size - w] = squares(levels.ravel(), w)
        marks[:, ::w] = 0  # around the edge
    largest = np.empty(span - 1, np.int64)
    _largest(tree, marks, int(several.argmax()) or span, largest, 1)
    _find(outer, largest)
    boxes[2:] *= -1
    return Components(level, boxes.T), largest


def largest_components(levels: np.ndarray) -> Components:
    """See :func:`bas_mm.localization.largest_components`; levels as above."""
    flat, span = levels.ravel(), int(levels.max()) + 1
    tree = _grow(levels, span, False)
    best = np.empty(span - 1, np.int64)
    _largest(tree, flat[None], 1, best, -1)
    _find(tree, best)
    boxes = _boxes(tree, flat, levels.shape[1])[:, best]
    boxes[2:] *= -1
    return Components(np.arange(1, span), boxes.T)
