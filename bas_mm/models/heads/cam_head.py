"""The classification head of WSOL: logit maps, their mean, class maps."""

from typing import Optional, Tuple

import torch
from mmengine.model import BaseModule
from mmpretrain.evaluation.metrics import Accuracy
from mmpretrain.registry import MODELS as STOCK_MODELS
from torch import nn

from bas_mm.registry import MODELS


@MODELS.register_module()
class CAMHead(BaseModule):
    """Fully convolutional classification head; its logit maps are the CAMs.

    ``num_convs`` times (conv3x3 to ``mid_channels``, ReLU), a conv1x1 to one
    logit map for each class, and a ReLU (``final_relu``). The logits are the
    means of the logit maps. A class's logit map is its class activation map,
    as in the fully convolutional form of CAM (ACoL, CVPR 2018, Sec. 3.1).
    So a trained classifier's linear layer is such a head: with
    ``num_convs=0`` and ``init_cfg=dict(type='Pretrained', checkpoint=...,
    prefix=NAME)``, NAME being the layer's in the checkpoint, it is loaded.

    Args:
        num_classes (int): Number of classes.
        in_channels (int): Channels of the trunk's features.
        mid_channels (int): Channels of the 3x3 convs. Defaults to 1024.
        num_convs (int): Number of the 3x3 convs; 0 leaves only the conv1x1.
            Defaults to 2, the head of the BAS paper.
        final_relu (bool): ReLU on the logit maps (CVPR paper). Defaults to
            True.
        topk (int): The map of an image is the mean of the maps of this many
            classes; at most all of them. Defaults to 1.
        map_label (str): Which single class's map is taken for ``topk=1``:
            'gt' the ground-truth label's (what GT-known Loc means), 'pred'
            the predicted label's (all that a picture without label allows).
            Defaults to 'gt'.
        force_label (bool): For ``topk > 1``, put the class of ``map_label``
            among the chosen, in place of the lowest score, if it is not
            there. The paper's text does so, its code does not. Defaults to
            False.
        threshold (float): Where the min-max normalised map is cut for
            ``pred_bbox``. Defaults to 0.15.
        loss (dict): The classification loss. Defaults to cross-entropy.
        init_cfg (dict | list[dict], optional): Initialization config.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        mid_channels: int = 1024,
        num_convs: int = 2,
        final_relu: bool = True,
        topk: int = 1,
        map_label: str = 'gt',
        force_label: bool = False,
        threshold: float = 0.15,
        loss: Optional[dict] = None,
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        if topk < 1:
            raise ValueError(f'`model.head.topk` must be at least 1, got {topk}.')
        if map_label not in ('gt', 'pred'):
            raise ValueError(
                f"`model.head.map_label` must be 'gt' or 'pred', got {map_label!r}."
            )
        if not 0 <= threshold <= 1:
            raise ValueError(
                f'`model.head.threshold` must be between 0 and 1, got {threshold}.'
            )
        self.num_classes = num_classes
        self.final_relu = final_relu
        self.topk = topk
        self.map_label = map_label
        self.force_label = force_label
        self.threshold = threshold
        layers = []
        for _ in range(num_convs):
            layers += [
                nn.Conv2d(in_channels, mid_channels, 3, padding=1),
                nn.ReLU(inplace=True),
            ]
            in_channels = mid_channels
        layers.append(nn.Conv2d(in_channels, num_classes, 1))
        if final_relu:
            layers.append(nn.ReLU(inplace=True))
        self.classifier = nn.Sequential(*layers)
        self.loss_module = STOCK_MODELS.build(loss or dict(type='CrossEntropyLoss'))
        self._register_load_state_dict_pre_hook(self._from_linear)

    def _from_linear(self, state_dict: dict, prefix: str, *args) -> None:
        """Takes a linear layer's ``weight`` and ``bias`` as the conv1x1's."""
        conv = f'{prefix}classifier.{len(self.classifier) - 1 - self.final_relu}'
        for name in ('weight', 'bias'):
            value = state_dict.pop(prefix + name, None)
            if value is not None:
                state_dict[f'{conv}.{name}'] = (
                    value[..., None, None] if value.ndim == 2 else value
                )

    @staticmethod
    def pool(logit_map: torch.Tensor) -> torch.Tensor:
        """Logit maps ``(B, C, h, w)`` to float32 logits ``(B, C)``."""
        return logit_map.mean((2, 3), dtype=torch.float32)

    def forward(self, feats: Tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Features of the neck to logits ``(B, C)``."""
        return self.pool(self.classifier(feats[-1]))

    def class_maps(
        self, feat: torch.Tensor, logit_map: torch.Tensor, classes: torch.Tensor
    ) -> torch.Tensor:
        """Maps of the asked classes, before any normalisation.

        Args:
            feat (torch.Tensor): ``F`` at the cut of the trunk, ``(B, N, H,
                W)``. Not used by CAM.
            logit_map (torch.Tensor): Logit maps, ``(B, C, h, w)``.
            classes (torch.Tensor): Class indices, ``(B, K)``.

        Returns:
            torch.Tensor: Maps, ``(B, K, h, w)``.
        """
        index = classes[..., None, None].expand(-1, -1, *logit_map.shape[2:])
        return logit_map.gather(1, index)

    def select_classes(
        self, scores: torch.Tensor, label: Optional[torch.Tensor]
    ) -> torch.Tensor:
        """Chooses the classes whose maps are averaged (paper, Sec. 3.3).

        Args:
            scores (torch.Tensor): Class scores of the view, ``(B, C)``.
            label (torch.Tensor, optional): The label of ``map_label``,
                ``(B, )``. Needed for ``topk=1`` and for ``force_label``.

        Returns:
            torch.Tensor: Class indices, ``(B, K)``.
        """
        k = min(self.topk, scores.shape[1])
        if k == 1:
            return label[:, None]
        classes = scores.topk(k, dim=1).indices
        if self.force_label:
            missing = (classes != label[:, None]).all(1)
            classes[:, -1] = torch.where(missing, label, classes[:, -1])
        return classes

    def loss(self, logit_map: torch.Tensor, target: torch.Tensor) -> Tuple[dict, dict]:
        """Classification loss and the accuracy of the batch.

        Args:
            logit_map (torch.Tensor): Logit maps, ``(B, C, h, w)``.
            target (torch.Tensor): Labels, ``(B, )``.

        Returns:
            tuple[dict, dict]: ``loss_cls``, and for the log ``acc``
            (percent).
        """
        logits = self.pool(logit_map)
        return (
            dict(loss_cls=self.loss_module(logits, target)),
            dict(acc=Accuracy.calculate(logits.argmax(1), target)[0]),
        )
