"""Where a view lies in its image."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from bas_mm.localization.boxes import map_components
from bas_mm.localization.maps import ArrayLike, as_map, normalize_map


class ViewFrame(NamedTuple):
    """The place of a view in its image: a scale and a shift.

    A point (x, y) of the image is at ``scale * (x, y) + shift`` in the view.

    Attributes:
        view: ``(h, w)`` of the view, in pixels.
        image: ``(h, w)`` of the image, in pixels.
        scale: Shape ``(2,)``, (x, y).
        shift: Shape ``(2,)``, (x, y), in pixels of the view.

    Example:
        >>> frame = ViewFrame((2, 2), (4, 8), np.array([0.25, 0.5]), np.zeros(2))
        >>> frame.boxes_to_image(np.array([[0.0, 1, 1, 2]])).tolist()
        [[0.0, 2.0, 4.0, 4.0]]
    """

    view: tuple[int, int]
    image: tuple[int, int]
    scale: np.ndarray
    shift: np.ndarray

    def boxes_to_image(self, boxes: np.ndarray) -> np.ndarray:
        """Move boxes from the view to the image.

        Args:
            boxes: Shape ``(n, 4)``, ``xyxy`` in pixels of the view.

        Returns:
            Shape ``(n, 4)``, float32, ``xyxy`` in pixels of the image, clipped
            to it.

        Example:
            >>> cropped = ViewFrame((2, 2), (2, 4), np.ones(2), np.array([-1, 0]))
            >>> cropped.boxes_to_image(np.array([[0.0, 0, 2, 2]])).tolist()
            [[1.0, 0.0, 3.0, 2.0]]
        """
        height, width = self.image
        moved = (boxes - np.tile(self.shift, 2)) / np.tile(self.scale, 2)
        return moved.clip(0, [width, height] * 2).astype(np.float32)

    def cut(self, image: np.ndarray) -> np.ndarray:
        """Cut what the view shows out of the image, with the image's own pixels.

        Args:
            image: Shape ``(h, w, ...)``, of the frame's size.

        Returns:
            The part of it, at least a pixel, its edges rounded to whole pixels.

        Example:
            >>> half = np.array([0.5, 0.5])
            >>> frame = ViewFrame((2, 2), (4, 8), half, np.array([-1, 0]))
            >>> frame.cut(np.arange(32).reshape(4, 8))[0].tolist()
            [2, 3, 4, 5]
        """
        view = np.array([[0, 0, *self.view[::-1]]], float)
        x0, y0, x1, y1 = self.boxes_to_image(view)[0].round().astype(int)
        x0, y0 = min(x0, image.shape[1] - 1), min(y0, image.shape[0] - 1)
        return image[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]

    def map_to_image(self, array: ArrayLike) -> np.ndarray:
        """Put a map of the view into the image, bilinearly; 0 outside.

        As a resize, pixel centers at halves: a product with one sparse matrix
        of weights for each axis.

        Args:
            array: Shape ``(h', w')``, over the whole view.

        Returns:
            Shape ``image``, float32.

        Example:
            >>> cropped = ViewFrame((1, 2), (1, 4), np.ones(2), np.array([-1, 0]))
            >>> cropped.map_to_image([[5, 7]]).tolist()
            [[0.0, 5.0, 7.0, 0.0]]
        """
        array = as_map(array)
        weights = []
        for n, length, size, a, b in zip(
            array.shape, self.view, self.image, self.scale[::-1], self.shift[::-1]
        ):
            at = (np.arange(size) + 0.5) * a + b  # in pixels of the view
            index = (at * n / length - 0.5).clip(0, n - 1)
            weight = 1 - np.abs(index[:, None] - np.arange(n))
            weight[(at < 0) | (at > length)] = 0
            weights.append(weight.clip(0).astype(np.float32))
        return weights[0] @ array.astype(np.float32) @ weights[1].T

    def places(
        self,
        pred_map: ArrayLike,
        threshold: float | str,
        percentile: float | None = None,
    ) -> tuple[np.ndarray, np.ndarray, Iterator[np.ndarray]]:
        """Find what a map of the view says of the image.

        Args:
            pred_map: Shape ``(h', w')``, any range and resolution.
            threshold: See :func:`~bas_mm.localization.cut_of`.
            percentile: See :func:`~bas_mm.localization.cut_of`.

        Returns:
            The boxes of all components, ``(n, 4)`` float32, ``xyxy`` in pixels
            of the image, the largest first; the normalized map, shape
            ``image``, 0 to 1; and the masks of the components, shape ``image``
            bool, one by one in the order of the boxes, none of them empty.

        Example:
            >>> frame = ViewFrame((1, 2), (1, 4), np.array([0.5, 1]), np.zeros(2))
            >>> boxes, whole, masks = frame.places([[0, 1]], 0.5)
            >>> boxes.tolist(), whole.tolist()
            ([[2.0, 0.0, 4.0, 1.0]], [[0.0, 0.25, 0.75, 1.0]])
            >>> [mask.astype(int).tolist() for mask in masks]
            [[[0, 0, 1, 1]]]
        """
        boxes, masks = map_components(
            pred_map, self.view, threshold, percentile=percentile
        )
        boxes = self.boxes_to_image(boxes)
        whole = self.map_to_image(normalize_map(pred_map)).clip(0, 1)
        return boxes, whole, map(self._mask_to_image, masks, boxes)

    def _mask_to_image(self, mask: np.ndarray, box: np.ndarray) -> np.ndarray:
        """Put a mask of the view, whose box is that of the image, into it."""
        moved = self.map_to_image(mask.astype(np.float32)) >= 0.5
        if not moved.any():  # smaller than a pixel of the image
            x0, y0 = np.floor(box[:2]).astype(int)
            x1, y1 = np.ceil(box[2:]).astype(int)
            moved[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)] = True
        return moved
