"""Tiny transformers with random weights."""

import torch
from mmpretrain.registry import MODELS

import bas_mm  # noqa: F401  its types are found by prefix

ARCH = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)
VIT = dict(
    type='VisionTransformer', arch=ARCH, img_size=32, patch_size=8, out_type='featmap'
)


def random_(module, seed=0):
    """Give every parameter values that matter, zeros and ones included."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for param in module.parameters():
            param.copy_(torch.randn(param.shape, generator=rng) * 0.3)
    return module


def build_trunk(**changes):
    """Build a tiny ViT in eval mode."""
    trunk = random_(MODELS.build(dict(VIT, **changes)))
    trunk.eval()
    return trunk


def build_model(head, neck=(), backbone=(), num_classes=3, **model):
    """Build a classifier on a tiny ViT, in eval mode."""
    built = MODELS.build(
        dict(
            type='bas_mm.WSOLClassifier',
            backbone=dict(VIT, **dict(backbone)),
            neck=dict(type='bas_mm.TokenNeck', **dict(neck)),
            head=dict(_shape(head), num_classes=num_classes, **head),
            **model,
        )
    )
    return random_(built).eval()


def _shape(head):
    # what has no weights has no channels
    return {} if head['type'].endswith(('LOSTHead', 'CutHead')) else {'in_channels': 16}


def attention_of(layer, seq):
    """Attention of a layer by the definition, and its keys.

    Args:
        layer: A stock encoder layer.
        seq: What it takes, ``(B, T, N)``.

    Returns:
        ``(B, heads, T, T)`` and ``(B, T, N)``.
    """
    attn = layer.attn
    heads, width = attn.num_heads, attn.head_dims
    x = layer.ln1(seq)
    weight, bias = attn.qkv.weight, attn.qkv.bias
    q, k, _ = ((x @ w.T + b) for w, b in zip(weight.chunk(3), bias.chunk(3)))
    found = []
    for i in range(heads):
        part = slice(i * width, (i + 1) * width)
        scores = torch.einsum('bip,bjp->bij', q[..., part], k[..., part]) / width**0.5
        found.append(scores.exp() / scores.exp().sum(-1, keepdim=True))
    return torch.stack(found, 1), k
