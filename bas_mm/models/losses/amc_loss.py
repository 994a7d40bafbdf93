"""Activation map constraint: the loss of BAS."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from mmpretrain.evaluation.metrics import Accuracy
from torch import nn

from bas_mm.registry import MODELS
from bas_mm.structures import Acts


def auto_beta(num_classes: int, alpha: float, lambda_: float) -> float:
    """Give the price of area that balances what holds a map open.

    Two terms pull the map open: background activation suppression with
    ``lambda_``, and foreground guidance with ``alpha`` times the gradient of a
    cross-entropy at an empty map, ``1 - 1 / C`` for each unit of logit. Fewer
    classes pull less: at one price for all, the maps of two classes fade.

    Args:
        num_classes: Number of classes, C.
        alpha: Weight of the foreground guidance.
        lambda_: Weight of the background activation suppression.

    Example:
        >>> [round(auto_beta(n, 0.5, 1.0), 2) for n in (2, 6, 200)]
        [1.5, 1.83, 2.0]
    """
    return lambda_ + 2 * alpha * (1 - 1 / num_classes)


@MODELS.register_module()
class AMCLoss(nn.Module):
    """The four terms of BAS (paper, Sec. 3.2, Eq. 1 to 6).

    ======== ============================================================
    term     value, mean over the batch
    ======== ============================================================
    loss_cls CE(GAP(f2(F)), y)
    loss_frg ``alpha`` CE(GAP(pool(M_fg) * f2(F)), y)
    loss_ac  ``beta`` mean over pixels of M_fg
    loss_bas ``lambda_`` min(S_bg / (S + 1e-8), 1); S is detached
    ======== ============================================================

    Where S_bg / S is above 1 the loss is 1, as the paper writes it, and has no
    gradient; the authors' code has no gradient there either, but logs 0. Only
    curves of ``loss_bas`` differ by that, not what is learned.

    A term whose weight is 0 is not computed; its loss is 0.

    Args:
        alpha: Weight of the foreground region guidance.
        beta: Weight of the area constraint; ``'auto'`` is :func:`auto_beta`.
        lambda_: Weight of the background activation suppression.
        mask: What the background map masks before the frozen pass:
            'feature' (F, the paper) or 'image' (the view; paper, Fig. 7).

    Raises:
        ValueError: If a weight is negative or ``mask`` unknown.
    """

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float | str = 1.0,
        lambda_: float = 1.0,
        mask: str = 'feature',
    ) -> None:
        super().__init__()
        for name, weight in (('alpha', alpha), ('beta', beta), ('lambda_', lambda_)):
            auto = name == 'beta' and weight == 'auto'
            if not auto and (isinstance(weight, str) or not weight >= 0):
                rule = ", or 'auto'" if name == 'beta' else ''
                raise ValueError(
                    f'`model.head.loss.{name}` must be 0 or more{rule}, got {weight!r}.'
                )
        if mask not in ('feature', 'image'):
            raise ValueError(
                f"`model.head.loss.mask` must be 'feature' or 'image', got {mask!r}."
            )
        self.alpha = alpha
        self.beta = beta
        self.lambda_ = lambda_
        self.mask = mask

    @property
    def needs_map(self) -> bool:
        """Whether any term reads the foreground map."""
        return any((self.alpha, self.beta, self.lambda_))

    def area_weight(self, num_classes: int) -> float:
        """Give the weight of the area constraint for so many classes."""
        if isinstance(self.beta, str):
            return auto_beta(num_classes, self.alpha, self.lambda_)
        return self.beta

    def forward(
        self,
        acts: Acts,
        target: torch.Tensor,
        fg: torch.Tensor | None = None,
        background: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> dict[str, torch.Tensor]:
        """Compute the weighted terms.

        Args:
            acts: Logits ``(B, C)`` and logit maps ``(B, C, h, w)``.
            target: Labels, ``(B,)``.
            fg: Foreground map of each image's label, ``(B, 1, H, W)`` in
                (0, 1). None: classification alone.
            background: From the background map ``(B, 1, H, W)`` to the logits
                ``(B, C)`` that the frozen network gives to the masked input.
                Only called where ``lambda_`` > 0.

        Returns:
            The four losses, and detached figures for the log: ``acc`` (of the
            batch, in percent), ``fg_area`` (mean of the map), ``bg_ratio``
            (mean of S_bg / S before the cap of 1, over the images with S > 0).
        """
        logits, logit_map = acts.logits, acts.logit_map
        zero = logits.new_zeros(())
        losses = dict(
            loss_cls=F.cross_entropy(logits, target),
            loss_frg=zero,
            loss_ac=zero,
            loss_bas=zero,
            acc=Accuracy.calculate(logits.argmax(1), target)[0],
        )
        if fg is None:
            return losses
        losses['fg_area'] = fg.detach().mean()
        if self.alpha and logit_map is not None:
            h, w = logit_map.shape[2:]
            weight = F.adaptive_avg_pool2d(fg, (h, w))
            frg = (weight * logit_map).mean((2, 3), dtype=torch.float32)
            losses['loss_frg'] = self.alpha * F.cross_entropy(frg, target)
        if self.beta:
            losses['loss_ac'] = self.area_weight(logits.shape[1]) * fg.mean()
        if self.lambda_ and background is not None:
            index = target[:, None]
            # journal version: ReLU on the scalars; with the ReLU on the
            # logit map (paper) they are >= 0 already
            s = logits.detach().gather(1, index).relu()
            s_bg = background(1 - fg).gather(1, index).relu()
            ratio = s_bg / (s + 1e-8)
            losses['loss_bas'] = self.lambda_ * ratio.clamp(max=1).mean()
            alive = (s > 0).float()
            total = (ratio.detach() * alive).sum()
            losses['bg_ratio'] = total / alive.sum().clamp(min=1)
        return losses
