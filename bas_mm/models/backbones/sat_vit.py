"""A vision transformer with a spatial token, whose attention gates the others'."""

from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model.weight_init import trunc_normal_
from mmpretrain.models import VisionTransformer
from mmpretrain.models.utils import MultiheadAttention
from torch import nn

from bas_mm.models.trunks import Tokens, vit_steps
from bas_mm.registry import MODELS


class SpatialAttention(MultiheadAttention):
    """Attention whose keys a spatial token gates (SAT, Sec. 3.2).

    The gate of a token is the sigmoid of how much the spatial token looks at
    it: the mean over the heads of the scores before the softmax. What all
    tokens attend to is multiplied by it, and not normalized again.

    Args:
        stock: The attention whose layers it takes over, under the same names.
        query: Place of the spatial token in the sequence.
    """

    def __init__(self, stock: Any, query: int) -> None:
        super().__init__(stock.embed_dims, stock.num_heads, attn_drop=stock.attn_drop)
        for name in ('qkv', 'proj', 'proj_drop', 'out_drop', 'gamma1'):
            setattr(self, name, getattr(stock, name))
        self.query = query
        self.gate = nn.Sigmoid()  # a module, so that hooks see it

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attend; ``(B, T, N)`` to the same shape."""
        b, t, n = x.shape
        qkv = self.qkv(x).view(b, t, 3, self.num_heads, self.head_dims)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, heads, T, d) each
        scores = q @ k.transpose(2, 3) * self.head_dims**-0.5
        gate = self.gate(scores[:, :, self.query].mean(1))  # (B, T)
        weight = scores.softmax(3) * gate[:, None, None]
        weight = F.dropout(weight, self.attn_drop, self.training)
        x = (weight @ v).transpose(1, 2).reshape(b, t, n)
        return self.out_drop(self.gamma1(self.proj_drop(self.proj(x))))


class _PutToken(nn.Module):
    """Puts a token into the sequence, before the patches."""

    def __init__(self, token: nn.Parameter, pos: nn.Parameter) -> None:
        super().__init__()
        self.token = token
        self.pos = pos

    def forward(self, tokens: Tokens) -> Tokens:
        extra = tokens.seq.shape[1] - tokens.size[0] * tokens.size[1]
        token = (self.token + self.pos).expand(len(tokens.seq), -1, -1)
        parts = [tokens.seq[:, :extra], token, tokens.seq[:, extra:]]
        return Tokens(torch.cat(parts, 1), tokens.size)


@MODELS.register_module()
class SATVisionTransformer(VisionTransformer):
    """A vision transformer with a spatial token (SAT).

    Wu, Zhai, Cao, Luo, Zha, ICCV 2023. One more token, with a position of its
    own, passes all layers; in the last ones its attention gates what all tokens
    attend to (:class:`SpatialAttention`). The authors put it at the sequence's end,
    here it stands before the patches: attention has no order but that of the
    positions.

    Args:
        gated_layers: In how many of the last layers it gates.
        **kwargs: The arguments of mmpretrain's ``VisionTransformer``, whose
            checkpoints load; the output is the feature map of the patches.

    Raises:
        ValueError: If there are not as many layers.
    """

    def __init__(self, *, gated_layers: int = 3, **kwargs: Any) -> None:
        super().__init__(**dict(kwargs, out_type='featmap'))
        last = max(self.out_indices) + 1
        if not 1 <= gated_layers <= last:
            raise ValueError(
                f'`model.backbone.gated_layers` must be 1 to {last}, the number of '
                f'layers, got {gated_layers}.'
            )
        self.spatial_token = nn.Parameter(torch.zeros(1, 1, self.embed_dims))
        self.spatial_pos = nn.Parameter(torch.zeros(1, 1, self.embed_dims))
        for param in (self.spatial_token, self.spatial_pos):
            trunc_normal_(param, std=0.02)
        for layer in self.layers[last - gated_layers : last]:
            layer.attn = SpatialAttention(layer.attn, self.num_extra_tokens)

    def token_steps(self) -> dict[str, nn.Module]:
        """Give the layers by name, in order, for :mod:`bas_mm.models.trunks`."""
        steps = vit_steps(self)
        put = _PutToken(self.spatial_token, self.spatial_pos)
        return {
            'patch_embed': steps.pop('patch_embed'),
            'spatial_token': put,
            **steps,
        }

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        """Give the feature map of the patches, ``(B, N, h, w)``, in a tuple."""
        flow: Any = x
        for step in self.token_steps().values():
            flow = step(flow)
        return (flow,)
