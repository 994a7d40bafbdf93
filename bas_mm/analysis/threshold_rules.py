"""Rules that find where maps are to be cut, without any box.

Two kinds: a rule of a map gives a cut to each map by itself; a rule of the
training set gives one number to all, found on training images and their labels.
"""

from collections.abc import Callable, Iterable, Mapping

import cv2
import numpy as np
import torch

from bas_mm.analysis.calibration import Views, box_masks, score_label
from bas_mm.localization import as_array, cut_of, sweep_largest, view_map
from bas_mm.models import WSOLClassifier
from bas_mm.models.trunks import as_feat

#: Where curves against the threshold are looked at.
GRID = np.arange(0.04, 0.76, 0.06)

#: A map in the view, values in [0, 1], to its cut.
MapRule = Callable[[np.ndarray], float]


def _levels(array: np.ndarray) -> np.ndarray:
    return np.round(255 * array).astype(np.uint8)


def triangle(array: np.ndarray) -> float:
    """Cut where the histogram bends away from its peak (Zack et al., 1977).

    Example:
        >>> triangle(np.linspace(0, 1, 64).reshape(8, 8) ** 4) < 0.5
        True
    """
    mode = cv2.THRESH_BINARY | cv2.THRESH_TRIANGLE
    return cv2.threshold(_levels(array), 0, 255, mode)[0] / 255


def cross_entropy(array: np.ndarray, steps: int = 100) -> float:
    """Cut with the least cross-entropy to the two means (Li and Tam, 1998).

    Example:
        >>> 0.2 < cross_entropy(np.array([[0.1, 0.1, 0.9, 0.9]])) < 0.8
        True
    """
    cut = float(array.mean())
    for _ in range(steps):
        above, below = array[array > cut], array[array <= cut]
        if not len(above) or not len(below) or below.mean() <= 0:
            break
        high, low = float(above.mean()), float(below.mean())
        cut, last = (high - low) / float(np.log(high / low)), cut
        if abs(cut - last) < 1e-4:
            break
    return cut


def max_entropy(array: np.ndarray, bins: int = 64) -> float:
    """Cut with the most entropy in both classes together (Kapur et al., 1985).

    Example:
        >>> 0 <= max_entropy(np.linspace(0, 1, 64).reshape(8, 8)) <= 1
        True
    """
    share = np.histogram(array, bins, (0, 1))[0] / array.size
    plogp = np.where(share > 0, share * np.log(np.maximum(share, 1e-300)), 0)
    mass, total = share.cumsum()[:-1], plogp.cumsum()[:-1]
    rest = 1 - mass
    with np.errstate(all='ignore'):
        entropy = np.log(mass) - total / mass
        entropy += np.log(rest) - (plogp.sum() - total) / rest
    entropy[(mass < 1e-9) | (rest < 1e-9)] = -np.inf
    return (int(entropy.argmax()) + 1) / bins


def _part_of_otsu(share: float) -> MapRule:
    return lambda array: share * cut_of(array, 'otsu')


#: Rules of a map, by name.
MAP_RULES: dict[str, MapRule] = {
    'otsu': lambda array: cut_of(array, 'otsu'),
    **{f'{share:g} otsu': _part_of_otsu(share) for share in (0.5, 0.6, 0.65, 0.7, 0.8)},
    'mean': lambda array: float(array.mean()),
    '1.3 mean': lambda array: 1.3 * float(array.mean()),
    'median': lambda array: float(np.median(array)),
    'triangle': triangle,
    'cross-entropy': cross_entropy,
    'max entropy': max_entropy,
}

#: Numbers that are the same for all.
NUMBERS = (0.15, 0.2, 0.3)


@torch.no_grad()
def activation_curve(
    model: WSOLClassifier, views: Views, maps: Iterable[np.ndarray]
) -> np.ndarray:
    """Follow the label's activation while the mask over the features grows.

    ``F`` is masked by the map above each threshold of ``GRID`` (the paper's Fig. 1
    with the map in the place of the ground truth).

    Args:
        model: In eval mode.
        views: A batch.
        maps: One for each view, ``(h, w)``.

    Returns:
        The label's logit, at least 0, over its own maximum, ``(B, t)``.
    """
    first = model.neck.run(views.inputs)
    feat = as_feat(first.flows[-2])
    label = views.label[:, None]
    array = np.stack([view_map(one, feat.shape[-2:]) for one in maps])
    levels = torch.from_numpy(array).to(feat.device, feat.dtype)[:, None]
    curve = []
    for threshold in GRID:
        masked = feat * (levels > threshold)
        acts = model.head(model.neck.run(masked, -1, first).feats)
        curve.append(acts.logits.gather(1, label)[:, 0].relu())
    values = as_array(torch.stack(curve, 1))
    return values / np.maximum(values.max(1, keepdims=True), 1e-9)


@torch.no_grad()
def score_curves(
    model: WSOLClassifier, views: Views, maps: Iterable[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Follow the label's score in and around the box while the box grows.

    Args:
        model: In eval mode.
        views: A batch.
        maps: One for each view, ``(h, w)``.

    Returns:
        Scores where only the box is seen, and where only what is around it is,
        ``(B, t)`` each, for the thresholds of ``GRID``.
    """
    inputs, size, blank = views.inputs, views.inputs.shape[-2:], views.blank
    boxes = np.stack([sweep_largest(one, size, GRID) for one in maps])
    curves: tuple[list, list] = ([], [])
    for i in range(len(GRID)):
        inside = box_masks(boxes[:, i], size).to(inputs.device)
        for curve, mask in zip(curves, (inside, ~inside)):
            kept = torch.where(mask, inputs, blank)
            curve.append(score_label(model, views, kept))
    return np.stack(curves[0], 1), np.stack(curves[1], 1)


def last_above(curve: np.ndarray, level: float) -> float:
    """Give the highest threshold of ``GRID`` at which a curve reaches a level.

    Example:
        >>> round(last_above(np.linspace(1, 0, len(GRID)), 0.9), 2)
        0.1
    """
    found = (curve >= level).nonzero()[0]
    return float(GRID[found[-1]]) if len(found) else float(GRID[0])


def set_rules(
    cuts: Mapping[str, np.ndarray],
    activation: np.ndarray,
    insertion: np.ndarray,
    deletion: np.ndarray,
) -> dict[str, float]:
    """Find the numbers that the rules of the training set give.

    Args:
        cuts: What each rule of a map gives for each training map.
        activation: Of :func:`activation_curve`, mean over images, ``(t,)``.
        insertion: Of :func:`score_curves`, mean over images, from 0 at a view
            without content to 1 at the whole view, ``(t,)``.
        deletion: The same.

    Returns:
        Name to threshold.
    """
    found = {f'{name}, training mean': float(v.mean()) for name, v in cuts.items()}
    for level in (0.8, 0.9, 0.95):
        found[f'activation {level:g}'] = last_above(activation, level)
    for level in (0.9, 0.95):
        found[f'insertion {level:g}'] = last_above(insertion, level)
    for level in (0.1, 0.2):
        found[f'deletion {level:g}'] = last_above(-deletion, -level)
    return found
