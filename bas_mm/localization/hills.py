"""A map cut into hills, and the tree in which their summits merge.

See :mod:`bas_mm.localization.component_tree` for what they are good for.
"""

import numpy as np


def merge_rows(merges: list[tuple[int, int, int]]) -> np.ndarray:
    """Give merges ``(height, winner, loser)`` as the rows of an array, ``(3, n)``."""
    return np.array(merges, np.int64).reshape(-1, 3).T


class Tree:
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
        height, winner, loser = merge_rows(self.merges)
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


class Hills:
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
        self.tree = Tree(peak, _highest(index[one], index[two], height), frame)

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

    def first(self, tree: Tree, lowest: int = 1) -> np.ndarray:
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


def run_ends(values: np.ndarray) -> np.ndarray:
    """Last index of each run of equal values, in order."""
    last = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=last[:-1])
    return last.nonzero()[0]


def _highest(one: np.ndarray, two: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Highest pass between any two summits, by falling height, ``(3, n)``."""
    num = int(max(one.max(initial=0), two.max(initial=0))) + 1
    pair = np.minimum(one, two).astype(np.int64) * num + np.maximum(one, two)
    code = np.sort((pair << 16) + height)
    code = code[run_ends(code >> 16)]
    code = code[np.argsort(-(code & 0xFFFF), kind='stable')]
    return np.stack([code & 0xFFFF, *np.divmod(code >> 16, num)])
