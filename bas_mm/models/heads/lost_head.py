"""LOST: the rarest patches are the object."""

from typing import Any

import torch

from bas_mm.models.heads.discovery_head import DiscoveryHead, component_of
from bas_mm.registry import MODELS


def lost(feats: torch.Tensor, max_seeds: int = 100) -> torch.Tensor:
    """Find one object in each image by its rarest patches (LOST).

    Simeoni et al., BMVC 2021. Patches of the background agree with many, those of
    an object with few. The seed is the patch with which the fewest correlate
    positively; of the ``max_seeds`` patches with the fewest those that correlate
    with the seed belong to the object, too; the mask is where patches
    correlate with their sum, as far as it hangs together with the seed.

    Args:
        feats: Keys of the last layer, ``(B, N, h, w)``.
        max_seeds: How many of the patches may join the seed.

    Returns:
        Masks, ``(B, h, w)`` bool, never empty.

    Raises:
        ValueError: If ``max_seeds`` is below 1.

    Example:
        >>> feats = torch.tensor([[[[1.0, 1.0, 1.0, -1.0]]]])
        >>> lost(feats).tolist()
        [[[False, False, False, True]]]
    """
    if max_seeds < 1:
        raise ValueError(
            f'`max_seeds` of LOST (model.head.max_seeds) must be 1 or more, got '
            f'{max_seeds}.'
        )
    flat = feats.flatten(2).double()  # (B, N, n)
    sim = flat.transpose(1, 2) @ flat  # (B, n, n)
    order = (sim >= 0).sum(2).argsort(dim=1, stable=True)
    masks = []
    for one, rare in zip(sim, order[:, :max_seeds]):
        seed = rare[0]
        seeds = rare[one[seed, rare] >= 0]
        # a key of zeros is like none
        seeds = seeds if len(seeds) else rare[:1]
        mask = one[:, seeds].sum(1) >= 0
        masks.append(component_of(mask.view(feats.shape[2:]), int(seed)))
    return torch.stack(masks)


@MODELS.register_module()
class LOSTHead(DiscoveryHead):
    """LOST (Simeoni et al., BMVC 2021), see :func:`lost`.

    Args:
        max_seeds: How many patches may join the seed.
        **kwargs: The arguments of :class:`DiscoveryHead`.
    """

    def __init__(self, *args: Any, max_seeds: int = 100, **kwargs: Any) -> None:
        lost(torch.zeros(1, 1, 1, 1), max_seeds)  # speaks up
        super().__init__(*args, **kwargs)
        self.max_seeds = max_seeds

    def discover(self, feat: torch.Tensor) -> torch.Tensor:
        """Find an object in each image, ``(B, N, h, w)`` to ``(B, h, w)`` bool."""
        return lost(feat, self.max_seeds)
