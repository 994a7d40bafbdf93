"""The frozen pass under gradient checkpointing."""

import pytest
import torch
from mmpretrain.registry import MODELS

from bas_mm.models import CAMHead, SplitNeck
from bas_mm.models.rerun import Rerun

TRUNKS = {
    'ResNet': dict(type='ResNet', depth=18, base_channels=4, stem_channels=4),
    'DenseNet': dict(
        type='DenseNet', arch=dict(growth_rate=4, depths=[1, 1, 1, 1], init_channels=8)
    ),
}
STARTS = {'ResNet': 'layer4', 'DenseNet': 'transitions.2'}
OPTIONS = {'ResNet': 'with_cp', 'DenseNet': 'memory_efficient'}


@pytest.mark.parametrize('name', TRUNKS)
def test_checkpointing_thaws_nothing(name):
    cfg = TRUNKS[name]
    results = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        backbone = MODELS.build({**cfg, OPTIONS[name]: checkpointing})
        backbone.train()
        neck = SplitNeck(start=STARTS[name])
        neck.bind(backbone)
        head = CAMHead(3, neck.feat_channels[-1], num_convs=0, final_relu=False)
        x = torch.randn(2, 3, 64, 64)
        first = neck.run(x)
        feat = first.feats[-2].detach().requires_grad_()
        before = {k: v.clone() for k, v in backbone.state_dict().items()}
        again = Rerun(neck, head, x, first)(feat, frozen=True)
        again.logits.square().sum().backward()
        assert all(p.grad is None for p in backbone.parameters())
        for key, value in backbone.state_dict().items():
            assert torch.equal(value, before[key]), key
        flags = [getattr(m, OPTIONS[name], None) for m in backbone.modules()]
        assert (True in flags) is checkpointing  # on again afterwards
        results.append(feat.grad)
    torch.testing.assert_close(*results)
    assert results[0].abs().sum() > 0
