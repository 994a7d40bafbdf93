"""TS-CAM: the attention of the class token tells where a token's class counts."""

from collections.abc import Sequence

import torch

from bas_mm.models.heads.cam_head import CAMHead
from bas_mm.registry import MODELS
from bas_mm.structures import Acts


def tscam_maps(attention: torch.Tensor, patch_logits: torch.Tensor) -> torch.Tensor:
    """Couple the class token's attention with the logit maps of the patches.

    Gao et al., ICCV 2021, Sec. 3.3. The attention of the class token to the patches
    knows where an object is but not which; the logit maps know which. The
    mean over the heads, summed over the layers, weighs the logit maps.

    Args:
        attention: Softmaxed, ``(layers, B, heads, T, T)``: rows attend, columns
            are attended. The class token is the first of the T tokens, the
            patches are the last ``h * w``, in raster order. Only the first row
            is read; others may be left out.
        patch_logits: Logit maps, ``(B, C, h, w)``.

    Returns:
        Maps, ``(B, C, h, w)``, before any normalization.

    Raises:
        ValueError: If there are fewer tokens than patches.

    Example:
        >>> attention = torch.tensor([[0.2, 0.1, 0.7]]).expand(2, 1, 4, 1, 3)
        >>> tscam_maps(attention, torch.full((1, 1, 1, 2), 5.0)).tolist()
        [[[[1.0, 7.0]]]]
    """
    size = patch_logits.shape[2:]
    patches = size[0] * size[1]
    if attention.ndim != 5 or attention.shape[4] < patches:
        raise ValueError(
            f'TS-CAM needs attention (layers, B, heads, T, T) to {size[0]}x{size[1]} '
            f'patches and the class token, got {tuple(attention.shape)}.'
        )
    rows = attention[..., 0, -patches:].float()  # (layers, B, heads, h * w)
    weight = rows.mean(2).sum(0).unflatten(1, size)
    return weight[:, None] * patch_logits


@MODELS.register_module()
class TSCAMHead(CAMHead):
    """Token semantic coupled attention map (TS-CAM).

    Gao et al., ICCV 2021, `arXiv 2103.14862
    <https://arxiv.org/abs/2103.14862>`_. A conv3x3 makes logit maps of the
    patch tokens; their means are the logits. The map of a class is its logit
    map, weighed by what the class token attends to (:func:`tscam_maps`).

    Reads a :class:`bas_mm.models.TokenNeck` with ``attention=True``. The paper's
    shape is ``num_convs=0, kernel_size=3, final_relu=False``.
    """

    def forward(self, feats: Sequence[torch.Tensor]) -> Acts:
        """Classify.

        Args:
            feats: Of the neck: attention first, the patch tokens last.

        Returns:
            Logits and logit maps, beside the features.

        Raises:
            ValueError: If there is no attention among the features.
        """
        if feats[0].ndim != 5:
            raise ValueError(
                'TSCAMHead needs the attention of the class token: set '
                "`model.neck.type='bas_mm.TokenNeck'` and `model.neck.attention=True`."
            )
        return super().forward(feats)

    def class_maps(self, acts: Acts, classes: torch.Tensor) -> torch.Tensor:
        """Give the coupled maps of the asked classes.

        Args:
            acts: Of :meth:`forward`.
            classes: Class indices, ``(B, K)``.

        Returns:
            Maps, ``(B, K, h, w)``.
        """
        chosen = super().class_maps(acts, classes)
        return tscam_maps(acts.feats[0].transpose(0, 1), chosen)
