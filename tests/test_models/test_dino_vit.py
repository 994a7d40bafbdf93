import re

import torch
from mmengine.runner.checkpoint import load_state_dict
from mmpretrain.registry import MODELS

from tests.helpers.transformers import VIT, build_trunk

NAMES = {
    'patch_embed.projection': 'patch_embed.proj',
    'ffn.layers.0.0': 'mlp.fc1',
    'ffn.layers.1': 'mlp.fc2',
}


def as_timm(state):
    """The same weights under the names of timm and DINO."""
    renamed = {}
    for key, value in state.items():
        for ours, theirs in NAMES.items():
            key = key.replace(ours, theirs)
        key = re.sub(r'^ln1', 'norm', key)
        key = re.sub(r'\.ln(\d)', r'.norm\1', key)
        renamed[re.sub(r'^layers', 'blocks', key)] = value
    return renamed


def test_both_names_load():
    stock = build_trunk()
    state = stock.state_dict()
    assert not any(k.startswith(('layers', 'ln1')) for k in as_timm(state))
    x = torch.randn(1, 3, 32, 32)
    for named in (state, as_timm(state)):
        trunk = MODELS.build(dict(VIT, type='bas_mm.DINOVisionTransformer'))
        load_state_dict(trunk, dict(named), strict=True)
        trunk.eval()
        with torch.no_grad():
            assert torch.equal(trunk(x)[0], stock(x)[0])


def test_inside_a_model_and_at_another_size():
    state = as_timm(build_trunk().state_dict())
    trunk = MODELS.build(dict(VIT, type='bas_mm.DINOVisionTransformer', img_size=48))
    model = torch.nn.ModuleDict(dict(backbone=trunk))
    model.load_state_dict({f'backbone.{k}': v for k, v in state.items()})
    assert trunk.pos_embed.shape == (1, 37, 16)
    assert torch.equal(
        trunk.layers[1].attn.qkv.weight, state['blocks.1.attn.qkv.weight']
    )
