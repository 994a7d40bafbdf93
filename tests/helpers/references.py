"""Slow and plain computations that the package is compared with."""

import cv2
import numpy as np


def flood_components(mask):
    """8-connected components as arrays ``(n, 2)`` of (y, x), in raster order."""
    left, components = np.array(mask, bool), []
    height, width = left.shape
    for start in zip(*np.nonzero(mask)):
        if not left[start]:
            continue
        todo, found = [start], []
        left[start] = False
        while todo:
            y, x = todo.pop()
            found.append((y, x))
            for ny in range(max(y - 1, 0), min(y + 2, height)):
                for nx in range(max(x - 1, 0), min(x + 2, width)):
                    if left[ny, nx]:
                        left[ny, nx] = False
                        todo.append((ny, nx))
        components.append(np.array(found))
    return components


def box_of(pixels):
    """The box of pixels (y, x), max exclusive."""
    y, x = pixels.T
    return x.min(), y.min(), x.max() + 1, y.max() + 1


def largest_box(mask):
    """Box of the largest component, of equal ones the first in raster order."""
    components = flood_components(mask)
    return box_of(max(components, key=len)) if components else None


def count_iou(a, b):
    """IoU with extents of +1, by counting pixels."""
    pixels = [
        {(x, y) for x in range(c[0], c[2] + 1) for y in range(c[1], c[3] + 1)}
        for c in (a, b)
    ]
    return len(pixels[0] & pixels[1]) / len(pixels[0] | pixels[1])


def benchmark_levels(pred_map, size, interpolation):
    """The benchmark's map: resized by OpenCV, normalized, 256 levels."""
    m = cv2.resize(pred_map, size[::-1], interpolation=interpolation)
    m = (m - m.min()) / (m - m.min()).max() if m.max() > m.min() else m * 0
    return (m * 255).astype(np.uint8)


def benchmark_boxes(levels, threshold):
    """The benchmark's boxes of all contours, and which is of largest area."""
    h, w = levels.shape
    _, mask = cv2.threshold(
        levels, int(threshold * np.max(levels)), 255, cv2.THRESH_BINARY
    )
    contours = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]
    boxes = []
    for contour in contours:
        x, y, dx, dy = cv2.boundingRect(contour)
        boxes.append((x, y, min(x + dx, w - 1), min(y + dy, h - 1)))
    if not boxes:
        return [(0, 0, 0, 0)], 0
    return boxes, int(np.argmax([cv2.contourArea(c) for c in contours]))
