"""BAS: the generator of foreground maps beside the classification head."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from bas_mm.models.heads.cam_head import CAMHead, Losses, select_maps, zero_of
from bas_mm.models.rerun import Rerun
from bas_mm.registry import MODELS
from bas_mm.structures import Acts


@MODELS.register_module()
class BASHead(CAMHead):
    """Background Activation Suppression (paper, Sec. 3.2).

    Wu, Zhai, Cao, CVPR 2022, `arXiv 2112.00580
    <https://arxiv.org/abs/2112.00580>`_. The generator is one conv3x3 and a
    sigmoid: one foreground map in (0, 1) for each class, read from ``F`` at
    the cut of the trunk. The background map masks ``F`` before a second pass
    through ``f2`` and the classification head with this step's weights,
    frozen: the generator learns to leave no activation of the class in the
    background.

    Args:
        map_channels: Channels of ``F``, the features at the cut.
        loss: The loss that joins the four terms. Defaults to
            ``dict(type='bas_mm.AMCLoss')``.
        **kwargs: The arguments of :class:`CAMHead`.
    """

    needs_label = True

    def __init__(
        self,
        *args: Any,
        map_channels: int,
        loss: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs['loss'] = loss or dict(type='bas_mm.AMCLoss')
        super().__init__(*args, **kwargs)
        self.generator = nn.Conv2d(map_channels, self.num_classes, 3, padding=1)

    def class_maps(self, acts: Acts, classes: torch.Tensor) -> torch.Tensor:
        """Give foreground maps of the asked classes.

        Where no more than half of the classes are asked for, only their
        filters run (:func:`filter_each`): the same values and gradients as the
        full conv, for K / C of its cost.

        Args:
            acts: Of :meth:`forward`; ``F`` is ``(B, N, H, W)``.
            classes: Class indices, ``(B, K)``.

        Returns:
            float32 maps in (0, 1), ``(B, K, H, W)``.
        """
        feat = acts.feats[-2]
        if 2 * classes.shape[1] > self.num_classes:
            maps = select_maps(self.generator(feat), classes)
        else:
            maps = filter_each(self.generator, feat, classes)
        return maps.float().sigmoid()

    def loss(self, acts: Acts, target: torch.Tensor, rerun: Rerun) -> Losses:
        """Give the four terms of :class:`bas_mm.models.AMCLoss`.

        Args:
            acts: Of :meth:`forward`.
            target: Labels, ``(B,)``.
            rerun: Runs the trunk and this head again.

        Returns:
            ``loss_cls``, ``loss_frg``, ``loss_ac``, ``loss_bas``, weighted,
            and figures for the log.
        """
        if not self.loss_module.needs_map:
            return self.cls_loss(acts, target)

        def background(bg: torch.Tensor) -> torch.Tensor:
            """Logits of the masked input in the frozen pass."""
            if self.loss_module.mask == 'feature':
                return rerun(acts.feats[-2].detach() * bg, frozen=True).logits
            views = rerun.inputs
            bg = F.interpolate(
                bg, views.shape[2:], mode='bilinear', align_corners=False
            )
            return rerun(views * bg, frozen=True, stage=0).logits

        fg = self.class_maps(acts, target[:, None])
        losses = self.loss_module(acts, target, fg, background)
        return {**losses, **map_figures(fg)}

    def cls_loss(self, acts: Acts, target: torch.Tensor) -> Losses:
        """Give the loss of classification alone; the other terms are 0."""
        losses = self.loss_module(acts, target)
        losses['loss_ac'] = losses['loss_ac'] + zero_of(self.generator)
        return losses


def filter_each(
    conv: nn.Conv2d, feat: torch.Tensor, channels: torch.Tensor
) -> torch.Tensor:
    """Run the filters of a few output channels, others for each image.

    One batched product of all taps with all cells, summed at the cells that each
    tap serves. A conv with a group for each image gives the same. But it is slow on
    CPUs (forward and backward of one filter, batch 8, one thread: 75 ms against 6 for
    ``(512, 28, 28)``, 166 against 13 for ``(1024, 28, 28)``), and its ``groups``
    would be the size of the batch, which an exported graph cannot take as an input.

    Args:
        conv: With stride 1, an odd square kernel of K x K, and padding K // 2.
        feat: Features, ``(B, N, H, W)``.
        channels: Indices of output channels, ``(B, K)``.

    Returns:
        Those channels of the conv's output, ``(B, K, H, W)``, summed in float32 at
        least.

    Example:
        >>> conv, x = nn.Conv2d(4, 9, 3, padding=1), torch.rand(2, 4, 5, 5)
        >>> some = filter_each(conv, x, torch.tensor([[7, 0], [3, 3]]))
        >>> torch.allclose(some[1, 0], conv(x)[1, 3], atol=1e-6)
        True
    """
    (size, _), (h, w) = conv.kernel_size, feat.shape[2:]
    taps = conv.weight[channels].flatten(3).transpose(2, 3)  # (B, K, taps, N)
    products = taps.flatten(1, 2) @ feat.flatten(2)
    products = products.unflatten(2, (h, w)).unflatten(1, taps.shape[1:3])
    padded = F.pad(products, [size // 2] * 4)  # (B, K, taps, H + .., W + ..)
    if padded.dtype in (torch.float16, torch.bfloat16):
        padded = padded.float()
    bias = padded.new_zeros(1, 1) if conv.bias is None else conv.bias[channels]
    places = enumerate((y, x) for y in range(size) for x in range(size))
    shifted = (padded[:, :, tap, y : y + h, x : x + w] for tap, (y, x) in places)
    return sum(shifted, bias[..., None, None])


@torch.no_grad()
def map_figures(fg: torch.Tensor) -> Losses:
    """Give figures of the maps of a batch that tell a collapse.

    Args:
        fg: Maps of 0 to 1, ``(B, 1, H, W)``.

    Returns:
        ``fg_border``, the mean of the outermost cells; and, for two images or
        more, ``fg_spread``: how far the maps differ from each other, the standard
        deviation over the batch (root mean square over the cells) as a share of
        the largest that their mean allows. 0 for maps that are all alike.

    Example:
        >>> map_figures(torch.eye(2)[:, None, None])
        {'fg_border': tensor(0.5000), 'fg_spread': tensor(1.)}
    """
    fg = fg.detach().float()
    inner = fg[..., 1:-1, 1:-1]
    ring = fg[0].numel() - inner[0].numel()
    figures = {'fg_border': (fg.sum() - inner.sum()) / (ring * len(fg))}
    if len(fg) > 1:
        mean = fg.mean()
        most = (mean * (1 - mean)).clamp(min=1e-12)
        figures['fg_spread'] = (fg.var(0, correction=0).mean() / most).sqrt()
    return figures
