"""What all heads share: test options, calibration, targets, boxes."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.model import BaseModule
from mmpretrain.structures import DataSample

from bas_mm.localization import as_array, map_to_bbox
from bas_mm.models.classifiers.building import gt_labels
from bas_mm.models.rerun import Rerun
from bas_mm.structures import Acts, Calibration, TestOptions

Losses = dict[str, torch.Tensor]

#: Of the calibration in a checkpoint, below the head's prefix.
CALIBRATION_KEY = 'calibration'


class LocHead(BaseModule):
    """Base of all heads.

    A head has ``forward(feats) -> Acts``, :meth:`class_maps` and :meth:`loss`;
    the rest is here.

    Args:
        num_classes: Number of classes.
        topk, map_label, force_label, threshold, percentile: Defaults of the
            test options, see :class:`bas_mm.structures.TestOptions`. With
            ``threshold='auto'`` it is the number of ``calibration``.
        init_cfg: Initialization config.

    Attributes:
        calibration (Calibration | None): What was found without boxes; saved
            with the weights and loaded with them.

    Raises:
        ValueError: If a test option is not allowed.
    """

    #: Whether the loss takes one label for each image and no mixed ones.
    needs_label = False

    #: Whether the logits are learned; not so in heads without classes.
    classifies = True

    def __init__(
        self,
        num_classes: int,
        topk: int = 1,
        map_label: str = 'gt',
        force_label: bool = False,
        threshold: float | str = 0.15,
        percentile: float | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_classes = num_classes
        self.topk = topk
        self.map_label = map_label
        self.force_label = force_label
        self.threshold = threshold
        self.percentile = percentile
        self.calibration: Calibration | None = None
        self.test_options()  # speaks up where one is not allowed
        self._register_load_state_dict_pre_hook(self._load_calibration)
        self._register_state_dict_hook(_save_calibration)

    def _load_calibration(self, state_dict: dict, prefix: str, *args: Any) -> None:
        """Take the calibration out of a checkpoint; none is no error."""
        values = state_dict.pop(prefix + CALIBRATION_KEY, None)
        fields = dataclasses.fields(Calibration)
        if values is None or values.shape != (len(fields),):
            self.calibration = None
        else:
            self.calibration = Calibration(*values.tolist())

    def test_options(
        self, changes: Mapping[str, Any] | TestOptions | None = None
    ) -> TestOptions:
        """Give the test options: the head's own, with some changed.

        Raises:
            ValueError: If one is not allowed.
        """
        if isinstance(changes, TestOptions):
            return changes
        own = TestOptions(
            self.topk,
            self.map_label,
            self.force_label,
            self.threshold,
            self.percentile,
        )
        options = own.replace(**(changes or {}))
        if options.threshold == 'auto' and self.calibration is not None:
            options = options.replace(threshold=self.calibration.threshold)
        return options

    def targets(self, data_samples: Sequence[DataSample]) -> torch.Tensor:
        """Give what the loss compares a batch with: its labels.

        A head that learns from something else, such as pseudo labels, overrides
        this.

        Returns:
            Labels ``(B,)``; or, where a batch augmentation (CutMix, Mixup)
            mixed them, the share of each class, ``(B, C)``.

        Raises:
            ValueError: If labels were mixed and the loss takes one label for
                each image.
        """
        if not all('gt_score' in sample for sample in data_samples):
            return gt_labels(data_samples)
        if self.needs_label:
            raise ValueError(
                f'{type(self).__name__} needs one label for each image, but they '
                'come as shares of all classes, as a batch augmentation mixes them: '
                'take `batch_augments` (and `to_onehot`) out of '
                '`model.data_preprocessor`, or train a method that takes mixed '
                'labels, such as CAM.'
            )
        return torch.stack([sample.gt_score for sample in data_samples])

    def class_maps(self, acts: Acts, classes: torch.Tensor) -> torch.Tensor:
        """Give the maps ``(B, K, h, w)`` of the asked classes ``(B, K)``."""
        raise NotImplementedError

    def loss(self, acts: Acts, target: torch.Tensor, rerun: Rerun) -> Losses:
        """Give the losses of a training step, weighted, and figures for the log.

        Args:
            acts: Of the forward pass.
            target: Of :meth:`targets`.
            rerun: Runs the trunk and this head again.

        Returns:
            What has 'loss' in its name is added up; the rest is logged.
        """
        raise NotImplementedError

    def boxes(
        self,
        acts: Acts,
        maps: torch.Tensor,
        size: Sequence[int],
        threshold: float | str,
        percentile: float | None = None,
    ) -> torch.Tensor:
        """Give one box for each image: by default that of its map.

        A method that regresses boxes overrides this, and renders them in
        :meth:`class_maps`, so that every metric and drawing works unchanged.

        Args:
            acts: Of :meth:`forward`.
            maps: Shape ``(B, h, w)``, after the mean over classes and the
                refiner.
            size: ``(h, w)`` of the view, in pixels.
            threshold: See :func:`bas_mm.localization.cut_of`.
            percentile: See :func:`bas_mm.localization.cut_of`.

        Returns:
            Shape ``(B, 4)``, float32 on the CPU, ``xyxy`` in pixels of the
            view, max exclusive.
        """
        # one transfer for each batch; OpenCV finds the boxes on the host
        boxes = [
            torch.from_numpy(map_to_bbox(one, size, threshold, percentile=percentile))
            for one in as_array(maps)
        ]
        return torch.stack(boxes)

    def select_classes(
        self, scores: torch.Tensor, label: torch.Tensor | None, options: TestOptions
    ) -> torch.Tensor:
        """Choose the classes whose maps are averaged (paper, Sec. 3.3).

        Args:
            scores: Class scores of the view, ``(B, C)``.
            label: The label of ``map_label``, ``(B,)``. Needed for ``topk=1``
                and for ``force_label``.
            options: Test options.

        Returns:
            Class indices, ``(B, K)``.
        """
        k = min(options.topk, scores.shape[1])
        if label is not None and k == 1:
            return label[:, None]
        classes = scores.topk(k, dim=1).indices
        if label is not None and options.force_label:
            missing = (classes != label[:, None]).all(1)
            classes[:, -1] = torch.where(missing, label, classes[:, -1])
        return classes


@dataclass(frozen=True)
class ForegroundActs(Acts):
    """:class:`bas_mm.structures.Acts`, with a map of no class.

    Attributes:
        foreground: The map, ``(B, h, w)``.
    """

    foreground: torch.Tensor | None = None


class AgnosticHead(LocHead):
    """Base of heads that say where, but not what.

    They are the head of the ``localizer`` of :class:`bas_mm.models.TwoNetworks`;
    alone they know a single class.

    Args:
        **options: Test options and ``init_cfg``, see :class:`LocHead`.
    """

    classifies = False

    def __init__(self, **options: Any) -> None:
        super().__init__(num_classes=1, **options)

    @staticmethod
    def no_logits(feats: Sequence[torch.Tensor]) -> torch.Tensor:
        """Give the logits of no classifier: zeros, ``(B, 1)`` float32."""
        return torch.zeros(feats[-1].shape[0], 1, device=feats[-1].device)

    def class_maps(self, acts: Acts, classes: torch.Tensor) -> torch.Tensor:
        """Give the map of no class, as float32, for each asked class.

        Args:
            acts: :class:`ForegroundActs`.
            classes: Class indices, ``(B, K)``; only their number counts.

        Returns:
            Maps, ``(B, K, h, w)``, one and the same.
        """
        assert isinstance(acts, ForegroundActs) and acts.foreground is not None
        maps = acts.foreground.float()[:, None]
        return maps.expand(-1, classes.shape[1], -1, -1)


class ShapeHead(AgnosticHead):
    """Base of heads that regress a shape, and show it as a map.

    Any threshold gives the same box: it is that of the shape, see
    :meth:`corners`.

    Args:
        map_size: Side of the maps, in cells.
        **options: See :class:`AgnosticHead`. ``threshold`` defaults to 0.5.
    """

    def __init__(self, map_size: int, **options: Any) -> None:
        super().__init__(**dict({'threshold': 0.5}, **options))
        self.map_size = map_size

    def corners(self, acts: Acts) -> torch.Tensor:
        """Give the boxes as shares of the view, ``(B, 4)`` ``xyxy``, inside it."""
        raise NotImplementedError

    def boxes(
        self,
        acts: Acts,
        maps: torch.Tensor,
        size: Sequence[int],
        threshold: float | str,
        percentile: float | None = None,
    ) -> torch.Tensor:
        """Give the boxes themselves; the maps only show them.

        Returns:
            Shape ``(B, 4)``, float32 on the CPU, ``xyxy`` in pixels of the view.
        """
        h, w = size
        corners = self.corners(acts)
        return (corners * corners.new_tensor([w, h, w, h])).cpu()


def _save_calibration(
    head: LocHead, state_dict: dict, prefix: str, local_metadata: dict
) -> None:
    """Put the calibration into a checkpoint, if there is one."""
    if head.calibration is not None:
        values = torch.tensor(dataclasses.astuple(head.calibration), dtype=torch.double)
        state_dict[prefix + CALIBRATION_KEY] = values
