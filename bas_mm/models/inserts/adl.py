"""ADL: the attention-based dropout layer."""

import torch
from torch import nn

from bas_mm.models.erasing import keep_below
from bas_mm.registry import MODELS


def adl_maps(
    x: torch.Tensor, threshold: float, relative: str = 'max'
) -> tuple[torch.Tensor, torch.Tensor]:
    """Give the two maps of ADL, one of which multiplies the features.

    Choe and Shim, CVPR 2019, Sec. 3.1. The attention of a place is the mean of
    the features over their channels.

    Args:
        x: Features, ``(B, N, h, w)``.
        threshold: Places whose attention reaches this share of the image's
            maximum are dropped.
        relative: See :func:`bas_mm.models.keep_below`.

    Returns:
        The importance map, the sigmoid of the attention; and the drop mask, 0
        where dropped, 1 elsewhere, a constant without gradient. Both
        ``(B, 1, h, w)``, of the type of ``x``.

    Example:
        >>> importance, drop = adl_maps(torch.tensor([[[[0.0, 4.0]]]]), 0.9)
        >>> importance[0, 0, 0, 0].item(), drop.flatten().tolist()
        (0.5, [1.0, 0.0])
    """
    attention = x.mean(1, keepdim=True)
    drop = keep_below(attention.detach(), threshold, relative)
    return attention.sigmoid(), drop.to(x.dtype)


@MODELS.register_module()
class ADL(nn.Module):
    """Attention-based dropout layer (Choe and Shim, CVPR 2019).

    In training it multiplies the features by their drop mask or by their
    importance map (:func:`bas_mm.models.adl_maps`): one draw for the whole
    batch at every step. It has no parameters and does nothing at test time,
    nor where no gradient is recorded (to calibrate BatchNorm, for instance).
    Each process, and each further pass of a training step (BAS, EIL), draws
    its own.

    It belongs behind a ReLU. Elsewhere the maximum of an attention may be
    negative, and nothing would be dropped: take ``relative='range'`` there.

    Args:
        drop_rate: How often the drop mask is taken, not the importance map.
        threshold: The share of the maximum from which on places are dropped;
            smaller drops more.
        relative: See :func:`bas_mm.models.keep_below`.

    Raises:
        ValueError: If a number is not between 0 and 1, or ``relative`` is
            unknown.

    Example:
        >>> layer = ADL(drop_rate=1.0, threshold=0.5)
        >>> layer(torch.tensor([[[[1.0, 4.0]]]])).flatten().tolist()
        [1.0, 0.0]
    """

    def __init__(
        self, drop_rate: float = 0.75, threshold: float = 0.9, relative: str = 'max'
    ) -> None:
        super().__init__()
        for name, value in (('drop_rate', drop_rate), ('threshold', threshold)):
            if not 0 <= value <= 1:
                raise ValueError(
                    f'`{name}` of bas_mm.ADL (model.neck.inserts) must be between 0 '
                    f'and 1, got {value}.'
                )
        keep_below(torch.zeros(1, 1, 1, 1), threshold, relative)  # speaks up
        self.drop_rate = drop_rate
        self.threshold = threshold
        self.relative = relative

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features ``(B, N, h, w)`` to features."""
        if not (self.training and torch.is_grad_enabled()):
            return x
        importance, drop = adl_maps(x, self.threshold, self.relative)
        # on the CPU: no wait for the device
        dropped = torch.rand((), device='cpu').item() >= 1 - self.drop_rate
        return x * (drop if dropped else importance)

    def extra_repr(self) -> str:
        """Options, for the printed model."""
        return (
            f'drop_rate={self.drop_rate}, threshold={self.threshold}, '
            f'relative={self.relative!r}'
        )
