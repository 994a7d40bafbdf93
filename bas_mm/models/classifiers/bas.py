"""Background Activation Suppression."""

from typing import Callable, Dict, List

import torch
import torch.nn.functional as F
from mmpretrain.structures import DataSample
from torch import nn
from torch.func import functional_call

from bas_mm.registry import MODELS

from .wsol import WSOLClassifier


@MODELS.register_module()
class BASClassifier(WSOLClassifier):
    """BAS (Wu, Zhai, Cao, CVPR 2022, `arXiv 2112.00580
    <https://arxiv.org/abs/2112.00580>`_).

    The background map masks ``F`` before a second pass through ``f2`` and
    the classification head with this step's weights, frozen: the generator
    learns to leave no activation of the class in the background.
    """

    def loss(
        self, inputs: torch.Tensor, data_samples: List[DataSample]
    ) -> Dict[str, torch.Tensor]:
        """The four terms of :class:`bas_mm.models.AMCLoss`, weighted.

        Args:
            inputs (torch.Tensor): Images, ``(B, 3, H, W)``.
            data_samples (list[DataSample]): With ``gt_label``.

        Returns:
            dict[str, torch.Tensor]: ``loss_cls``, ``loss_frg``, ``loss_ac``,
            ``loss_bas``.
        """
        head = self.head
        target = self.labels(data_samples)
        feat, trunk = self.extract_feat(inputs)  # (B, N, H, W)
        logit_map = head.classifier(trunk)  # (B, C, h, w)
        if self.cls_only or not head.loss_module.needs_map:
            losses, stats = head.loss(logit_map, target)
            # DistributedDataParallel wants every parameter in the graph
            idle = sum(p.sum() for p in head.generator.parameters())
            losses['loss_ac'] = losses['loss_ac'] + 0 * idle
        else:
            fg = head.class_maps(feat, logit_map, target[:, None])
            losses, stats = head.loss(
                logit_map, target, fg, self._background(inputs, feat)
            )
        self.log_stats(losses, stats, logit_map)
        return losses

    def _background(
        self, inputs: torch.Tensor, feat: torch.Tensor
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """The frozen pass: background map to logits of the masked input."""
        layers = [self.neck.f2, self.head.classifier]
        image = self.head.loss_module.mask == 'image'
        masked = inputs if image else feat.detach()
        if image:
            layers.insert(0, self.neck.f1)
        network = nn.Sequential(*layers)
        # no copy of a module, no gradient of a weight; BatchNorm takes the
        # statistics of the masked batch and updates only the clones
        frozen = {n: p.detach() for n, p in network.named_parameters()}
        frozen.update((n, b.clone()) for n, b in network.named_buffers())

        def run(bg: torch.Tensor) -> torch.Tensor:
            if image:
                bg = F.interpolate(
                    bg, inputs.shape[2:], mode='bilinear', align_corners=False
                )
            return self.head.pool(functional_call(network, frozen, (masked * bg,)))

        return run
