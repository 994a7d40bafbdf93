"""TokenCut: a normalized cut of the patches."""

from typing import Any

import torch
import torch.nn.functional as F

from bas_mm.models.heads.discovery_head import DiscoveryHead, component_of
from bas_mm.registry import MODELS


def token_cut(
    feats: torch.Tensor, threshold: float = 0.2, eps: float = 1e-5
) -> torch.Tensor:
    """Cut each image in two by the similarity of its patches (TokenCut).

    Wang et al., CVPR 2022. Patches are the nodes of a graph, whose edges weigh
    1 where the cosine of two is above the threshold and ``eps`` elsewhere. The
    second eigenvector of the normalized cut, ``(D - E) y = lambda D y``,
    parts it at its mean; the side of its largest absolute value is the object,
    as far as it hangs together with that patch.

    Args:
        feats: Keys of the last layer, ``(B, N, h, w)``.
        threshold: Least cosine of two patches that belong together.
        eps: Weight of the other edges.

    Returns:
        Masks, ``(B, h, w)`` bool, never empty.

    Raises:
        ValueError: If ``eps`` is not above 0: the graph could fall apart.

    Example:
        >>> feats = torch.eye(2)[:, [0, 0, 0, 1]].view(1, 2, 1, 4)
        >>> token_cut(feats).tolist()
        [[[False, False, False, True]]]
    """
    if not eps > 0:
        raise ValueError(
            f'`eps` of TokenCut (model.head.eps) must be above 0, got {eps}.'
        )
    unit = F.normalize(feats.flatten(2).double(), dim=1)
    edges = (unit.transpose(1, 2) @ unit > threshold).double().clamp(min=eps)
    root = edges.sum(2).rsqrt()  # (B, n)
    eye = torch.eye(edges.shape[1], dtype=edges.dtype, device=edges.device)
    # with z = D^(1/2) y the problem is a plain symmetric one
    laplacian = eye - root[:, :, None] * edges * root[:, None]
    second = root * torch.linalg.eigh(laplacian).eigenvectors[:, :, 1]
    masks = []
    for y in second:
        seed = int(y.abs().argmax())
        above = y > y.mean()
        mask = above if bool(above[seed]) else ~above
        masks.append(component_of(mask.view(feats.shape[2:]), seed))
    return torch.stack(masks)


@MODELS.register_module()
class TokenCutHead(DiscoveryHead):
    """TokenCut (Wang et al., CVPR 2022), see :func:`token_cut`.

    Args:
        edge_threshold: Least cosine of two patches that belong together.
        eps: Weight of the other edges.
        **kwargs: The arguments of :class:`DiscoveryHead`.
    """

    def __init__(
        self, *args: Any, edge_threshold: float = 0.2, eps: float = 1e-5, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        token_cut(torch.ones(1, 1, 1, 2), edge_threshold, eps)  # speaks up
        self.edge_threshold = edge_threshold
        self.eps = eps

    def discover(self, feat: torch.Tensor) -> torch.Tensor:
        """Find an object in each image, ``(B, N, h, w)`` to ``(B, h, w)`` bool."""
        return token_cut(feat, self.edge_threshold, self.eps)
