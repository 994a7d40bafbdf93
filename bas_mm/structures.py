"""What flows between the parts of a model."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch

from bas_mm.localization import check_threshold

MAP_LABELS = ('gt', 'pred')


@dataclass(frozen=True)
class Calibration:
    """What training images say of a model's maps, without any box.

    See :func:`bas_mm.analysis.calibration.calibrate`. All are means over
    images.

    Attributes:
        threshold: What ``threshold='auto'`` stands for, 0 to 1.
        area: Share of the view in the boxes at that threshold.
        score: Softmax score of the label.
        insertion: The same where the view holds only what is in the box.
        deletion: The same where the view holds only what is around the box.
        flip: IoU of the boxes of the view and of its mirror image.
        scale: IoU of the boxes of the view and of its middle, enlarged.
    """

    threshold: float
    area: float
    score: float
    insertion: float
    deletion: float
    flip: float
    scale: float


@dataclass(frozen=True)
class Acts:
    """Activations: what a head makes of the features of the neck.

    Attributes:
        feats: Feature maps, ``(B, N, h, w)``: each tap of the neck, then
            ``F`` at its ``start``, then the trunk's last. Before them what a
            :class:`bas_mm.models.TokenNeck` reads beside.
        logits: Shape ``(B, C)``, float32.
        logit_map: Shape ``(B, C, h, w)``, whose mean the logits are; None for
            heads without one.
    """

    feats: tuple[torch.Tensor, ...]
    logits: torch.Tensor
    logit_map: torch.Tensor | None = None

    def __getitem__(self, images: slice) -> 'Acts':
        """Give the activations of a part of the batch."""

        def cut(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(map(cut, value))
            return value[images] if isinstance(value, torch.Tensor) else value

        fields = [field.name for field in dataclasses.fields(self)]
        return dataclasses.replace(
            self, **{name: cut(getattr(self, name)) for name in fields}
        )


@dataclass(frozen=True)
class TestOptions:
    """How maps are chosen and cut at test time.

    Attributes:
        topk: The map of an image is the mean of the maps of this many
            classes; at most all of them.
        map_label: Which single class's map is taken for ``topk=1``: 'gt' the
            ground-truth label's (what GT-known Loc means), 'pred' the
            predicted label's (all that an image without label allows).
        force_label: For ``topk > 1``, put the class of ``map_label`` among
            the chosen, in place of the lowest score, if it is not there. The
            paper's text does so, its code does not.
        threshold: Where the min-max normalized map is cut for the box: a
            number from 0 to 1, ``'otsu'`` or ``'auto'``, see
            :func:`bas_mm.localization.cut_of`.
        percentile: See :func:`bas_mm.localization.cut_of`.

    Raises:
        ValueError: If one is not allowed.
    """

    __test__ = False  # no test class, whatever its name says to pytest

    topk: int = 1
    map_label: str = 'gt'
    force_label: bool = False
    threshold: float | str = 0.15
    percentile: float | None = None

    def __post_init__(self) -> None:
        if self.topk < 1:
            raise ValueError(
                f'`topk` (model.head.topk) must be at least 1, got {self.topk}.'
            )
        if self.map_label not in MAP_LABELS:
            raise ValueError(
                "`map_label` (model.head.map_label) must be 'gt' or 'pred', got "
                f'{self.map_label!r}.'
            )
        check_threshold(self.threshold, self.percentile, 'threshold')

    def replace(self, **changes: Any) -> 'TestOptions':
        """Give the options with some changed; None leaves one as it is.

        A rule for the threshold, such as ``'otsu'``, puts the percentile out
        of use unless one is given, too.

        Example:
            >>> TestOptions().replace(topk=3, threshold=None)
            TestOptions(topk=3, map_label='gt', force_label=False, threshold=0.15, \
percentile=None)
        """
        changes = {k: v for k, v in changes.items() if v is not None}
        unknown = changes.keys() - {f.name for f in dataclasses.fields(self)}
        if unknown:
            raise ValueError(
                f'test_cfg has no option {sorted(unknown)}: it takes '
                f'{", ".join(f.name for f in dataclasses.fields(self))}.'
            )
        if isinstance(changes.get('threshold'), str):
            changes.setdefault('percentile', None)
        return dataclasses.replace(self, **changes)
