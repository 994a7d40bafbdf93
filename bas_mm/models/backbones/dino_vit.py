"""A vision transformer that loads the weights of DINO under their own names."""

import re
from typing import Any

from mmpretrain.models import VisionTransformer

from bas_mm.registry import MODELS

# names in the checkpoints of DINO and timm -> mmpretrain's
_RENAMES = (
    (r'^patch_embed\.proj\.', 'patch_embed.projection.'),
    (r'^blocks\.(\d+)\.norm([12])\.', r'layers.\1.ln\2.'),
    (r'^blocks\.(\d+)\.mlp\.fc1\.', r'layers.\1.ffn.layers.0.0.'),
    (r'^blocks\.(\d+)\.mlp\.fc2\.', r'layers.\1.ffn.layers.1.'),
    (r'^blocks\.', 'layers.'),
    (r'^norm\.', 'ln1.'),
)


@MODELS.register_module()
class DINOVisionTransformer(VisionTransformer):
    """mmpretrain's ``VisionTransformer``, for weights with timm's names.

    The checkpoints of DINO (Caron et al., ICCV 2021) call their layers
    ``blocks``; they, and those of mmpretrain, load as they are.

    Args:
        *args, **kwargs: The arguments of mmpretrain's ``VisionTransformer``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._register_load_state_dict_pre_hook(self._rename_keys)

    @staticmethod
    def _rename_keys(state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Rename the keys of a checkpoint in place."""
        for key in list(state_dict):
            if not key.startswith(prefix):
                continue
            name = key[len(prefix) :]
            for pattern, new in _RENAMES:
                name = re.sub(pattern, new, name)
            if prefix + name != key:
                state_dict[prefix + name] = state_dict.pop(key)
