"""HaS: parts of training images are hidden."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from bas_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class HideAndSeek(BaseTransform):
    """Hide each cell of a grid with a probability (Hide-and-Seek).

    Singh and Lee, ICCV 2017, Sec. 3.1: a network that cannot count on the
    best part of an object has to look at the others as well. Belongs into the
    training pipeline, after the crop and the flip. What is hidden gets the
    mean of the training data, so that the first layer responds to it as to
    data on average.

    **Modified Keys:**

    - img

    Args:
        grid_size: Side of a cell in pixels of the view; or a list of sides, of
            which one is drawn for each image. 0 hides nothing. Cells begin at
            the top left; the last row and column may be smaller.
        drop_rate: Probability of each cell to be hidden.
        fill: The mean, 0 to 255, rounded for images of whole numbers: one
            number, or one for each channel in the order of the pipeline's image
            (BGR). Defaults to that of ImageNet.

    Raises:
        ValueError: If an option is not allowed.

    Example:
        >>> hide = HideAndSeek(grid_size=2, drop_rate=1.0, fill=7)
        >>> hide(dict(img=np.zeros((2, 2, 3), np.uint8)))['img'].max().item()
        7
    """

    def __init__(
        self,
        grid_size: int | Sequence[int] = 56,
        drop_rate: float = 0.5,
        fill: float | Sequence[float] = (104, 116, 124),
    ) -> None:
        sides = [grid_size] if isinstance(grid_size, int) else list(grid_size)
        if not sides or any(side != int(side) or side < 0 for side in sides):
            raise ValueError(
                '`grid_size` of HideAndSeek must be whole pixels, 0 or more (or a list '
                f'of them), got {grid_size}.'
            )
        if not 0 <= drop_rate <= 1:
            raise ValueError(
                f'`drop_rate` of HideAndSeek must be between 0 and 1, got {drop_rate}.'
            )
        if not np.all((np.asarray(fill) >= 0) & (np.asarray(fill) <= 255)):
            raise ValueError(
                f'`fill` of HideAndSeek must be between 0 and 255, got {fill}.'
            )
        self.grid_size = sides
        self.drop_rate = drop_rate
        self.fill = fill

    @cache_randomness
    def _draw(self, height: int, width: int) -> tuple[int, np.ndarray]:
        """Draw the side of a cell and which cells to hide, row by row."""
        side = self.grid_size[0]
        if len(self.grid_size) > 1:
            side = self.grid_size[np.random.randint(len(self.grid_size))]
        if not side:
            return side, np.zeros((0, 0), bool)
        cells = (-(-height // side), -(-width // side))
        return side, np.random.random_sample(cells) < self.drop_rate

    def transform(self, results: dict) -> dict:
        """Hide cells.

        Args:
            results: With ``img``, ``(h, w, c)`` or ``(h, w)``.

        Returns:
            The results; their ``img`` is another array than before.

        Raises:
            ValueError: If ``fill`` has not as many numbers as the image channels.
        """
        img = results['img']
        height, width = img.shape[:2]
        channels = img.shape[2] if img.ndim == 3 else 1
        if np.size(self.fill) not in (1, channels):
            raise ValueError(
                f'`fill` of HideAndSeek has {np.size(self.fill)} numbers, but the '
                f'image {channels} channels: give one number, or one for each.'
            )
        side, hidden = self._draw(height, width)
        if side:
            mask = hidden.repeat(side, 0).repeat(side, 1)[:height, :width]
            img = img.copy()
            fill = np.asarray(self.fill)
            if np.issubdtype(img.dtype, np.integer):
                fill = np.rint(fill)
            img[mask] = fill.astype(img.dtype)
        results['img'] = img
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(grid_size={self.grid_size}, '
            f'drop_rate={self.drop_rate}, fill={self.fill})'
        )
