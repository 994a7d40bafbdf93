"""Boxes of annotation files: checked, counted, named, with the likely cause."""

import math
from collections.abc import Iterable, Sequence

Size = tuple[int, int]

CAUSES = dict(
    shares='the numbers are shares of the image from 0 to 1, not pixels: multiply '
    'them by its width and height',
    corners='the file gives x1 y1 x2 y2 where x y width height are expected',
    sides='the file gives x y width height where x1 y1 x2 y2 are expected',
    turned='x and y are swapped, or the boxes are for the image before it is turned '
    'by its EXIF tag',
    swapped='the two corners are swapped',
)


def find_fault(
    box: Sequence[float],
    size: Size | None = None,
    slack: float = 1,
    inclusive: bool = False,
) -> str:
    """Say what is wrong with a box, ``''`` if nothing.

    Args:
        box: ``xyxy``, in pixels of the image.
        size: ``(width, height)`` of the image in pixels, if it is known.
        slack: So many pixels may it reach outside.
        inclusive: Whether ``x2`` and ``y2`` belong to the box, which then may
            equal ``x1`` and ``y1``.

    Example:
        >>> find_fault([3, 0, 3, 5], (50, 40)), find_fault([0, 0, 50, 40], (50, 40))
        ('has no area', '')
    """
    x1, y1, x2, y2 = box
    if x2 < x1 or y2 < y1:
        return 'has swapped corners'
    if not all(map(math.isfinite, box)):
        return 'is not of finite numbers'
    if not inclusive and (x2 == x1 or y2 == y1):
        return 'has no area'
    if size is None:
        return ''
    width, height = size
    if min(x1, y1) < -slack or x2 > width + slack or y2 > height + slack:
        return f'reaches outside its image of {width}x{height} pixels'
    if max(box) <= 1 < min(size) / 4:
        return f'lies in one pixel of its image of {width}x{height}'
    return ''


class BoxCheck:
    """Collects what is wrong with the boxes of a file.

    Args:
        source: The file or folder, for the error.
        corners: Whether the file gives ``x1 y1 x2 y2``, or else ``x y w h``.
        slack: Share of the image's sides that a box may reach outside; one
            pixel always.
        inclusive: See :func:`find_fault`.

    Attributes:
        faults: Name of the image and what is wrong, for each bad box.
        total: Number of boxes that were seen.

    Example:
        >>> check = BoxCheck('boxes.txt', corners=False)
        >>> check('a.jpg', [[10, 20, 55, 55]], (50, 40))  # of 10 20 45 35
        []
        >>> check.cause()
        'the file gives x1 y1 x2 y2 where x y width height are expected'
    """

    def __init__(
        self,
        source: str,
        corners: bool,
        slack: float = 0.0,
        inclusive: bool = False,
    ) -> None:
        self.source = source
        self.corners = corners
        self.slack = slack
        self.inclusive = inclusive
        self.faults: list[tuple[str, str]] = []
        self.total = 0
        self._hints: list[set[str]] = []

    def __call__(
        self, name: str, boxes: Iterable[Sequence[float]], size: Size | None
    ) -> list[Sequence[float]]:
        """Check the boxes of an image.

        Args:
            name: Of the image.
            boxes: ``xyxy``, in pixels of the image.
            size: ``(width, height)`` of the image, if it is known.

        Returns:
            Those that are right.
        """
        good = []
        slack = max(1, self.slack * max(size or (0,)))
        for box in boxes:
            self.total += 1
            fault = find_fault(box, size, slack, self.inclusive)
            if not fault:
                good.append(box)
                continue
            text = ', '.join(f'{x:g}' for x in box)
            self.faults.append((name, f'{name}: the box ({text}) {fault}'))
            self._hints.append(self._explain(box, size))
        return good

    def add(self, name: str, text: str, boxes: int = 1) -> None:
        """Note a fault of all boxes of an image."""
        self.total += boxes
        self.faults.append((name, text))
        self._hints.append(set())

    def _explain(self, box: Sequence[float], size: Size | None) -> set[str]:
        """Name the causes that would explain a bad box."""
        x1, y1, x2, y2 = box
        readings = dict(turned=[y1, x1, y2, x2])
        if self.corners:
            readings['sides'] = [x1, y1, x1 + x2, y1 + y2]
            readings['swapped'] = [min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)]
        else:
            readings['corners'] = [x1, y1, x2 - x1, y2 - y1]
        hints = {name for name, b in readings.items() if not find_fault(b, size)}
        if size is None:
            hints.discard('turned')
        return hints | ({'shares'} if 0 <= min(box) and max(box) <= 1 else set())

    def cause(self) -> str:
        """Give the likely cause of nearly all faults, ``''`` if there is none."""
        for name, text in CAUSES.items():
            if sum(name in hints for hints in self._hints) > 0.9 * len(self._hints):
                return text if self._hints else ''
        return ''

    def summary(self) -> str:
        """Say how many boxes are wrong, and the likely cause."""
        cause = self.cause()
        count = f'{len(self.faults)} of {self.total} boxes'
        return count + (f'; likely {cause}' if cause else '')

    def raise_faults(self) -> None:
        """Stop if there is a fault.

        Raises:
            ValueError: Names the first ones, how many there are, the likely
                cause and the option that leaves them out.
        """
        if self.faults:
            first = '; '.join(text for _, text in self.faults[:3])
            raise ValueError(
                f'{first}{"; ..." if len(self.faults) > 3 else ""} ({self.summary()}). '
                f"Correct `{self.source}`, or set on_error='skip' of the data set to "
                'leave such boxes out.'
            )
