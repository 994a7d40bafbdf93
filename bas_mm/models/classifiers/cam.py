"""CAM, the baseline."""

from typing import Dict, List

import torch
from mmpretrain.structures import DataSample

from bas_mm.registry import MODELS

from .wsol import WSOLClassifier


@MODELS.register_module()
class CAMClassifier(WSOLClassifier):
    """Class activation maps of a classifier trained by cross-entropy.

    Zhou et al., "Learning Deep Features for Discriminative Localization",
    CVPR 2016, in the fully convolutional form: a class's map is its logit
    map. Same trunk, head shape, recipe and options as
    :class:`BASClassifier`.
    """

    def loss(
        self, inputs: torch.Tensor, data_samples: List[DataSample]
    ) -> Dict[str, torch.Tensor]:
        """Cross-entropy.

        Args:
            inputs (torch.Tensor): Images, ``(B, 3, H, W)``.
            data_samples (list[DataSample]): With ``gt_label``.

        Returns:
            dict[str, torch.Tensor]: ``loss_cls``.
        """
        target = self.labels(data_samples)
        logit_map = self.head.classifier(self.extract_feat(inputs)[-1])
        losses, stats = self.head.loss(logit_map, target)
        self.log_stats(losses, stats, logit_map)
        return losses
