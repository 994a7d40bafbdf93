"""Saved maps and scores that are not finite, or not of one length."""

import logging
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from mmengine.logging import print_log

from bas_mm.evaluation.scores import ScoreFile
from bas_mm.localization import as_array

# What may be wrong with maps and scores, and the name of its count.
MAPS = 'the map holds NaN or infinity, and counts as one without contrast'
SCORES = 'scores are NaN or infinite'
LENGTHS = 'scores of another number of classes than most'
LABELS = 'the label is beyond the scores, and counts as never right'
KEYS = {
    MAPS: 'wsol/num_maps_not_finite',
    SCORES: 'wsol/num_scores_not_finite',
    LENGTHS: 'wsol/num_scores_of_other_length',
    LABELS: 'wsol/num_labels_beyond_scores',
}


class BrokenCount:
    """Counts maps and scores that are not what they should be.

    Such a map counts as one without contrast, and such a score as no class.
    """

    def __init__(self) -> None:
        self.images: dict[str, list[str]] = {}
        self.lengths: dict[int, list[str]] = {}
        self.labels: dict[int, list[str]] = {}

    def watch(self, samples: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Hand samples on, and look at them."""
        for sample in samples:
            name = str(sample.get('img_path'))
            if not np.isfinite(as_array(sample['pred_map'])).all():
                self.images.setdefault(MAPS, []).append(name)
            if sample.get('pred_score') is not None:
                scores = as_array(sample['pred_score'])
                self.lengths.setdefault(scores.size, []).append(name)
                if not np.isfinite(scores).all():
                    self.images.setdefault(SCORES, []).append(name)
            if sample.get('gt_label') is not None:
                label = int(as_array(sample['gt_label']).max())
                self.labels.setdefault(label, []).append(name)
            yield sample

    def kinds(self, scores: ScoreFile | None) -> dict[str, list[str]]:
        """Give what was found, from its kind to the images.

        Args:
            scores: The file of scores, if there is one.
        """
        found = dict(self.images)
        lengths = self.lengths
        if scores is not None:
            lengths = scores.lengths
            if scores.not_finite:
                found[SCORES] = scores.not_finite
        if len(lengths) > 1:
            usual = max(lengths, key=lambda n: len(lengths[n]))
            found[LENGTHS] = [x for n in lengths if n != usual for x in lengths[n]]
        beyond = [label for label in self.labels if lengths and label >= max(lengths)]
        if beyond:
            found[LABELS] = [x for label in beyond for x in self.labels[label]]
        return found

    def report(self, scores: ScoreFile | None, size: int) -> dict[str, int]:
        """Warn of what was found, and count it.

        Args:
            scores: The file of scores, if there is one.
            size: Number of all images.

        Returns:
            Name of each kind that occurs to the number of its images.
        """
        counts = {}
        for kind, images in self.kinds(scores).items():
            more = ', ...' if len(images) > 3 else ''
            print_log(
                f'{len(images)} of {size} images: {kind} '
                f'({", ".join(images[:3])}{more}).',
                'current',
                logging.WARNING,
            )
            counts[KEYS[kind]] = len(images)
        return counts
