"""A map cut into hills, and the tree in which their summits merge.

A *hill* is a run of pixels of one row that rises to a peak and falls again.
A *summit* is a hill that no neighbor overtops, with all hills that lead up to
it. A *pass* between two summits is the highest level at which their hills
touch. :mod:`bas_mm.localization.component_tree` says how the components of all
masks follow from these.
"""

import numpy as np


def merge_rows(merges: list[tuple[int, int, int]]) -> np.ndarray:
    """Give merges ``(height, winner, loser)`` as the rows of an array, ``(3, n)``.

    Example:
        >>> merge_rows([(5, 0, 1), (3, 0, 2)]).tolist()
        [[5, 3], [0, 0], [1, 2]]
    """
    return np.array(merges, np.int64).reshape(-1, 3).T


class Tree:
    """Summits and the passes at which they merge.

    A component is named by the summit that stands for it (the one that wins
    all its merges) and its level. ``summit`` and ``level``, ``(n,)`` each,
    list all of them.

    Args:
        peak: Shape ``(k,)``, int, the levels of the summits, 1 and up.
        passes: Rows ``(height, one, other)`` by falling height, ``(3, n)``.
        frame: The summit that stands for what lies around the image, if any:
            no component that it belongs to is given.

    Example:
        >>> tree = Tree(np.array([3, 2]), np.array([[1], [0], [1]]))
        >>> list(zip(tree.summit.tolist(), tree.level.tolist()))
        [(0, 1), (0, 2), (0, 3), (1, 2)]
    """

    def __init__(
        self, peak: np.ndarray, passes: np.ndarray, frame: int | None = None
    ) -> None:
        self.peak, self.frame = peak, frame
        #: ``(height, winner, loser)`` by falling height.
        self.merges: list[tuple[int, int, int]] = []
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
        """Look up where components stand in the list.

        Args:
            summit: The summits that stand for them.
            level: Their levels, same shape.
        """
        return self._before[summit] + level

    def at(self, summit: np.ndarray, level: np.ndarray) -> np.ndarray:
        """Find the summits that stand for components.

        Args:
            summit: Any summit of each component.
            level: Their levels, same shape.
        """
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

    Attributes:
        start: First pixels of the hills, in raster order; their other pixels
            follow.
        length: Numbers of their pixels.
        top: Levels of their peaks.
        hill_summit: Summit of every hill.
        summit: Summit of every pixel, ``(h * w,)``.
        tree: The summits and how they merge.

    Example:
        >>> levels = np.array([[0, 3, 1, 2, 0]], np.uint8)
        >>> hills = Hills(levels, levels, connectivity=8, framed=False)
        >>> hills.boxes().tolist()
        [[1, 0, 4, 1], [1, 0, 2, 1], [1, 0, 2, 1], [3, 0, 4, 1]]
        >>> hills.pixel_area().tolist()
        [3, 1, 1, 1]
    """

    def __init__(
        self, levels: np.ndarray, order: np.ndarray, connectivity: int, framed: bool
    ) -> None:
        self.shape = levels.shape
        self.levels, self.order = levels.ravel(), order.ravel()
        self.span = int(levels.max()) + 1
        begins = self._begins()
        ends = begins.nonzero()[0]
        begins = begins[:-1]
        self.start, self.length = ends[:-1], ends[1:] - ends[:-1]
        self.top = np.maximum.reduceat(self.levels, self.start)
        one, two, height = self._borders(levels, begins, connectivity, framed)
        used = height.nonzero()[0]
        root, one, two, height = self._climb(one[used], two[used], height[used], framed)

        num = len(root)
        summits = root == np.arange(num)
        summits[: len(self.top)] &= self.top > 0
        found = summits.nonzero()[0]
        index = np.zeros(num, np.int32)  # 0 for a hill of level 0, as good as any
        index[found] = np.arange(len(found))
        self.hill_summit = index[root][: len(self.top)]
        self.summit = np.repeat(self.hill_summit, self.length)
        frame = len(found) - 1 if framed else None
        peak = np.append(self.top, self.span - 1)[found].astype(np.int64)
        self.tree = Tree(peak, _highest(index[one], index[two], height), frame)

    def _begins(self) -> np.ndarray:
        """Mark where hills begin, ``(pixels + 1,)`` bool, the end marked too."""
        rise = self.order[1:] > self.order[:-1]
        begins = np.ones(len(self.order) + 1, bool)
        begins[1:-1] = rise
        np.greater(rise[1:], rise[:-1], out=begins[2:-1])  # a rise after none
        begins[:: self.shape[1]] = True
        return begins

    def _climb(
        self, one: np.ndarray, two: np.ndarray, height: np.ndarray, framed: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Lead every hill uphill to its summit.

        A hill with a pass as high as its peak belongs to a higher one, and so
        on, until summits are left. Of equal peaks the later one is higher, the
        frame is the highest.

        Args:
            one: Hills of each border, ``(n,)``.
            two: Hills on its other side.
            height: Its highest pass.
            framed: Whether the last number stands for the frame.

        Returns:
            The hill at the summit of each hill (and of the frame), and the
            borders that are left between summits.
        """
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
                return root, one, two, height
            up = np.arange(num)
            up[one[climb]] = two[climb]
            while ((further := up[up]) != up).any():
                up = further
            root, one, two = up[root], up[one], up[two]
            apart = (one != two).nonzero()[0]
            one, two, height = one[apart], two[apart], height[apart]

    def _borders(
        self, levels: np.ndarray, begins: np.ndarray, connectivity: int, framed: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Find neighboring hills and the highest pass of each border.

        Returns:
            The two hills and the level, ``(n,)`` each; two hills may come
            several times.
        """
        flat, num = self.levels, len(self.start)
        h, w = levels.shape
        column = self.start % w
        right = column.nonzero()[0]
        at = self.start[right]
        borders = [(right - 1, right, np.minimum(flat[at - 1], flat[at]))]
        row = (column == 0).nonzero()[0]  # first hill of each row
        if h > 1:
            at = (begins[:-w] | begins[w:]).nonzero()[0]
            one = begins[at].cumsum() - 1
            two = begins[at + w].cumsum() + row[1] - 1
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
        one, two, height = (np.concatenate(x) for x in zip(*borders))
        return one, two, height

    def _table(self, fill: int, dtype: type, k: int) -> np.ndarray:
        """Make a table as :meth:`Tree.gather` takes it."""
        return np.full((len(self.tree.peak), self.span, k), fill, dtype)

    def boxes(self) -> np.ndarray:
        """Find the boxes of the components, by peaks of rows and columns.

        A component's outermost columns hold a peak of a column, its outermost
        rows a peak of a row (a hill's).

        Returns:
            Shape ``(n, 4)``, int, ``xyxy`` pixels, max exclusive.
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
        """Find the first pixels, in raster order, of a tree's components.

        Args:
            tree: Of these hills, or one with other merges.
            lowest: Components below this level are left out: their number is
                of no use.

        Returns:
            Their indices, ``(n,)``.
        """
        table = self._table(len(self.levels), np.int64, 1)
        pixel = (self.levels >= lowest).nonzero()[0][::-1]
        cell = self.summit[pixel] * np.int64(self.span) + self.levels[pixel]
        table.reshape(-1)[cell] = pixel  # of several the last one stays
        return tree.gather(table, np.minimum)[:, 0]

    def pixel_area(self) -> np.ndarray:
        """Count the pixels of the components, ``(n,)``."""
        cell = self.summit * np.int64(self.span) + self.levels
        table = np.bincount(cell, minlength=len(self.tree.peak) * self.span)
        table = table.reshape(-1, self.span, 1)
        return self.tree.gather(table, np.add)[:, 0]


def run_ends(values: np.ndarray) -> np.ndarray:
    """Find the last index of each run of equal values.

    Example:
        >>> run_ends(np.array([4, 4, 7, 4])).tolist()
        [1, 2, 3]
    """
    last = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=last[:-1])
    return last.nonzero()[0]


def _highest(one: np.ndarray, two: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Keep the highest pass between any two summits.

    Returns:
        Rows ``(height, one, other)`` by falling height, ``(3, n)``.
    """
    num = int(max(one.max(initial=0), two.max(initial=0))) + 1
    pair = np.minimum(one, two).astype(np.int64) * num + np.maximum(one, two)
    code = np.sort((pair << 16) + height)
    code = code[run_ends(code >> 16)]
    code = code[np.argsort(-(code & 0xFFFF), kind='stable')]
    return np.stack([code & 0xFFFF, *np.divmod(code >> 16, num)])
