"""SAT: a map from the gates of a spatial token, which losses keep apart."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from bas_mm.models.heads.cam_head import CAMHead, Losses
from bas_mm.models.rerun import Rerun
from bas_mm.registry import MODELS
from bas_mm.structures import Acts


def sat_losses(map: torch.Tensor, tau: float) -> dict[str, torch.Tensor]:  # noqa: A002
    """Give what pulls the maps of a batch to an area, and to 0 and 1.

    Wu et al., ICCV 2023, Sec. 3.3. The area is that of the batch, not of each
    image: large objects may take what small ones leave.

    Args:
        map: Values in [0, 1], ``(B, h, w)`` or ``(B, 1, h, w)``.
        tau: The share of the views that objects are to cover.

    Returns:
        ``norm``: the mean of ``(1 - g) * g``, g the map smoothed by a 3x3
        kernel (binomial here; its border repeated). ``area``: how far the mean of
        the batch is from ``tau``.

    Example:
        >>> losses = sat_losses(torch.full((2, 3, 3), 0.5), 0.25)
        >>> losses['norm'].item(), losses['area'].item()
        (0.25, 0.25)
    """
    maps = map.float().reshape(-1, 1, *map.shape[-2:])
    row = maps.new_tensor([0.25, 0.5, 0.25])
    padded = F.pad(maps, (1, 1, 1, 1), mode='replicate')
    smooth = F.conv2d(padded, torch.outer(row, row)[None, None])
    return dict(norm=((1 - smooth) * smooth).mean(), area=(maps.mean() - tau).abs())


@MODELS.register_module()
class SATHead(CAMHead):
    """Spatial-aware token (SAT).

    Wu, Zhai, Cao, Luo, Zha, ICCV 2023. A conv3x3 makes logit maps of the
    patch tokens, whose means are the logits. The map is the mean of the gates
    of a spatial token (:class:`bas_mm.models.SATVisionTransformer`): the same
    for every class.

    Reads a :class:`bas_mm.models.TokenNeck` with ``gates=True``. The paper's
    shape is ``num_convs=0, kernel_size=3, final_relu=False``.

    Args:
        tau: The share of the views that objects are to cover: 0.25 on CUB,
            0.35 on ILSVRC in the paper.
        **kwargs: The arguments of :class:`CAMHead`.

    Raises:
        ValueError: If ``tau`` is no share.
    """

    def __init__(self, *args: Any, tau: float = 0.25, **kwargs: Any) -> None:
        if not 0 < tau < 1:
            raise ValueError(
                f'`model.head.tau` must be above 0 and below 1, got {tau}.'
            )
        super().__init__(*args, **kwargs)
        self.tau = tau

    def forward(self, feats: Sequence[torch.Tensor]) -> Acts:
        """Classify.

        Args:
            feats: Of the neck: gates first, the patch tokens last.

        Returns:
            Logits and logit maps, beside the features.

        Raises:
            ValueError: If there are no gates among the features.
        """
        if len(feats) < 3 or feats[0].shape[2:] != feats[-1].shape[2:]:
            raise ValueError(
                'SATHead needs the gates of a spatial token: set '
                "`model.backbone.type='bas_mm.SATVisionTransformer'`, "
                "`model.neck.type='bas_mm.TokenNeck'` and `model.neck.gates=True`."
            )
        return super().forward(feats)

    def class_maps(self, acts: Acts, classes: torch.Tensor) -> torch.Tensor:
        """Give the mean of the gates, the same for each class.

        Args:
            acts: Of :meth:`forward`.
            classes: Class indices, ``(B, K)``; only their number counts.

        Returns:
            Maps in (0, 1), ``(B, K, h, w)``.
        """
        gates = acts.feats[0].float().mean(1, keepdim=True)
        return gates.expand(-1, classes.shape[1], -1, -1)

    def loss(self, acts: Acts, target: torch.Tensor, rerun: Rerun) -> Losses:
        """Give the losses of the classes and of the map.

        Args:
            acts: Of :meth:`forward`.
            target: As in :meth:`CAMHead.loss`.
            rerun: Not used.

        Returns:
            ``loss_cls``, ``loss_norm``, ``loss_area`` (:func:`sat_losses`), and
            for the log ``acc`` and ``fg_area``, the mean of the map.
        """
        losses = self.cls_loss(acts, target)
        maps = self.class_maps(acts, target[:, None])
        more = sat_losses(maps, self.tau)
        losses.update({f'loss_{name}': value for name, value in more.items()})
        losses['fg_area'] = maps.detach().mean()
        return losses
