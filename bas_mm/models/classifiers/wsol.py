"""What every WSOL method shares: from a map for each image to samples."""

from abc import abstractmethod
from typing import Dict, List, Optional

import torch
from mmengine.logging import MessageHub
from mmpretrain.models import ImageClassifier
from mmpretrain.structures import DataSample

from bas_mm.evaluation.functional import map_to_bbox


class WSOLClassifier(ImageClassifier):
    """A classifier that also says where: base class of the methods.

    A method gives :meth:`loss`; its head gives ``classifier`` (features to
    logit maps), ``select_classes`` and ``class_maps``. Everything after the
    map (boxes, metrics, pictures) knows maps, not methods.

    Args:
        backbone (dict | nn.Module): A stock backbone.
        neck (dict | nn.Module): A :class:`bas_mm.models.SplitNeck`.
        head (dict | nn.Module): A head such as
            :class:`bas_mm.models.CAMHead`.
        data_preprocessor (dict, optional): Defaults to
            ``dict(type='bas_mm.WSOLDataPreprocessor')``.
        **kwargs: Passed to :class:`mmpretrain.models.ImageClassifier`.

    Attributes:
        cls_only (bool): Train the classification term alone; set by
            :class:`bas_mm.engine.ClsWarmupHook`.
    """

    def __init__(
        self,
        backbone: dict,
        neck: dict,
        head: dict,
        data_preprocessor: Optional[dict] = None,
        **kwargs,
    ) -> None:
        if data_preprocessor is None or isinstance(data_preprocessor, dict):
            data_preprocessor = dict(
                dict(type='bas_mm.WSOLDataPreprocessor'), **(data_preprocessor or {})
            )
        super().__init__(
            backbone, neck, head, data_preprocessor=data_preprocessor, **kwargs
        )
        self.neck.bind(self.backbone)
        self.cls_only = False

    @staticmethod
    def labels(data_samples: List[DataSample]) -> torch.Tensor:
        """Ground-truth labels of a batch, ``(B, )``."""
        return torch.cat([sample.gt_label for sample in data_samples])

    @staticmethod
    def log_stats(
        losses: Dict[str, torch.Tensor],
        stats: Dict[str, torch.Tensor],
        logit_map: torch.Tensor,
    ) -> None:
        """Hands figures of a training step to the hooks, without a sync.

        Args:
            losses (dict): The losses of the step, ``loss_cls`` among them.
            stats (dict): More scalars to log.
            logit_map (torch.Tensor): Logit maps, ``(B, C, h, w)``.
        """
        MessageHub.get_current_instance().update_info(
            'wsol_stats',
            dict(
                stats,
                loss_cls=losses['loss_cls'].detach(),
                peak_logit=logit_map.detach().abs().amax(),
            ),
            resumed=False,
        )

    def extract_feat(self, inputs: torch.Tensor, stage: str = 'neck'):
        """Features at a stage: 'backbone', 'neck' or 'pre_logits'.

        Args:
            inputs (torch.Tensor): Images, ``(B, 3, H, W)``.
            stage (str): 'neck' gives ``(F, f2(F))`` and 'pre_logits' the
                last of them. Defaults to 'neck'.
        """
        if stage == 'backbone':
            return self.backbone(inputs)
        feats = self.neck(inputs)
        return feats if stage == 'neck' else feats[-1]

    def forward(
        self,
        inputs: torch.Tensor,
        data_samples: Optional[List[DataSample]] = None,
        mode: str = 'tensor',
        crops: Optional[torch.Tensor] = None,
    ):
        """The entry of the runner.

        Args:
            inputs (torch.Tensor): Views, ``(B, 3, H, W)``.
            data_samples (list[DataSample], optional): One for each view.
            mode (str): 'tensor' gives logits ``(B, C)``, 'loss' a dict of
                losses, 'predict' a list of samples.
            crops (torch.Tensor, optional): Other crops of the same images,
                ``(B, n, 3, H, W)``; only read by 'predict'.
        """
        if mode == 'predict':
            return self.predict(inputs, data_samples, crops=crops)
        return super().forward(inputs, data_samples, mode)

    @abstractmethod
    def loss(
        self, inputs: torch.Tensor, data_samples: List[DataSample]
    ) -> Dict[str, torch.Tensor]:
        """Losses of a batch, each already weighted."""

    def predict(
        self,
        inputs: torch.Tensor,
        data_samples: Optional[List[DataSample]] = None,
        crops: Optional[torch.Tensor] = None,
    ) -> List[DataSample]:
        """Classifies and localises.

        Views and crops pass the network together. The scores are the mean
        over an image's view and crops of their softmax scores (the paper's
        ten-crop classification); the maps come from the views alone.

        Args:
            inputs (torch.Tensor): Views, ``(B, 3, H, W)``.
            data_samples (list[DataSample], optional): Where the results go.
                ``map_label='gt'`` reads their ``gt_label``.
            crops (torch.Tensor, optional): Other crops of the same images,
                ``(B, n, 3, H, W)``.

        Returns:
            list[DataSample]: With ``pred_score`` ``(C, )``, ``pred_label``
            ``(1, )``, ``pred_map`` ``(h, w)`` (low resolution, before
            normalisation) and ``pred_bbox`` ``(4, )``, xyxy in pixels of the
            view, max exclusive.

        Raises:
            ValueError: If the map of the ground-truth label is asked for and
                a sample has none.
        """
        head, n = self.head, len(inputs)
        if data_samples is None:
            data_samples = [DataSample() for _ in range(n)]
        if crops is not None:
            inputs = torch.cat([inputs, crops.flatten(0, 1)])
        feat, trunk = self.extract_feat(inputs)
        logit_map = head.classifier(trunk)
        scores = head.pool(logit_map).softmax(1)
        view_scores = scores[:n]
        if crops is not None:
            scores = torch.cat(
                [view_scores[:, None], scores[n:].unflatten(0, (n, -1))], 1
            ).mean(1)
        pred_label = scores.argmax(1)
        classes = head.select_classes(
            view_scores, self._map_labels(data_samples, pred_label)
        )
        maps = head.class_maps(feat[:n], logit_map[:n], classes)
        maps = maps.mean(1, dtype=torch.float32)

        # one transfer for each batch; OpenCV finds the boxes on the host
        size = inputs.shape[-2:]
        for sample, score, label, pred_map, host_map in zip(
            data_samples, scores, pred_label, maps, maps.cpu().numpy()
        ):
            sample.set_pred_score(score).set_pred_label(label)
            sample.pred_map = pred_map
            sample.pred_bbox = torch.from_numpy(
                map_to_bbox(host_map, size, head.threshold)
            )
        return data_samples

    def _map_labels(
        self, data_samples: List[DataSample], pred_label: torch.Tensor
    ) -> Optional[torch.Tensor]:
        """Labels of ``head.map_label``, ``(B, )``; None where not needed."""
        head = self.head
        if min(head.topk, head.num_classes) > 1 and not head.force_label:
            return None
        if head.map_label == 'pred':
            return pred_label
        if not all('gt_label' in sample for sample in data_samples):
            raise ValueError(
                "map_label='gt' takes the map of the ground-truth label, but "
                'a sample has no `gt_label`. For images without labels set '
                "`model.head.map_label='pred'`."
            )
        return self.labels(data_samples).to(pred_label.device)
