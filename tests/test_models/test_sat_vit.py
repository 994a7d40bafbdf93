import pytest
import torch
from mmpretrain.registry import MODELS

from bas_mm.models import SATVisionTransformer, TokenNeck
from tests.helpers.transformers import VIT, attention_of, build_trunk

SAT = dict(type='bas_mm.SATVisionTransformer')
X = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize('size', [32, 48])
@pytest.mark.parametrize('gated', [1, 2])
def test_by_hand_with_the_token_at_the_end(gated, size):
    """As the paper has it: the sequence ends with the spatial token."""
    trunk = build_trunk(**SAT, gated_layers=gated)
    neck = TokenNeck(gates=True)
    neck.bind(trunk)
    x = torch.randn(2, 3, size, size)
    with torch.no_grad():
        gates, _, last = neck(x)
        stock = MODELS.build(VIT)
        stock.load_state_dict(trunk.state_dict(), strict=False)
        taken = []
        stock.layers[0].register_forward_pre_hook(lambda m, a: taken.append(a[0]))
        stock.eval()
        stock(x)
        token = trunk.spatial_token + trunk.spatial_pos
        seq = torch.cat([taken[0], token.expand(2, -1, -1)], 1)
        expected = []
        for i, layer in enumerate(trunk.layers):
            attention, _ = attention_of(layer, seq)
            normed = layer.ln1(seq)
            q, k, v = layer.attn.qkv(normed).chunk(3, -1)
            if i >= 2 - gated:
                scores = [
                    a @ b.transpose(1, 2) / a.shape[-1] ** 0.5
                    for a, b in zip(q.chunk(2, -1), k.chunk(2, -1))
                ]
                gate = (sum(scores)[:, -1] / 2).sigmoid()
                expected.append(gate[:, 1:-1])
                attention = attention * gate[:, None, None, :]
            heads = [a @ b for a, b in zip(attention.unbind(1), v.chunk(2, -1))]
            seq = seq + layer.attn.proj(torch.cat(heads, -1))
            seq = layer.ffn(layer.ln2(seq), identity=seq)
        patches = trunk.ln1(seq)[:, 1:-1]
    torch.testing.assert_close(last.flatten(2).transpose(1, 2), patches)
    torch.testing.assert_close(gates.flatten(2), torch.stack(expected, 1))
    assert torch.equal(trunk(x)[0], last)


def test_weights_of_a_stock_transformer_load():
    stock, trunk = build_trunk(), build_trunk(**SAT, gated_layers=2)
    result = trunk.load_state_dict(stock.state_dict(), strict=False)
    assert set(result.missing_keys) == {'spatial_token', 'spatial_pos'}
    assert not result.unexpected_keys


def test_the_new_token_is_no_zero():
    trunk = MODELS.build(dict(VIT, **SAT, gated_layers=1))
    assert trunk.spatial_token.abs().sum() > 0 and trunk.spatial_pos.abs().sum() > 0


def test_a_view_alone():
    trunk = build_trunk(**SAT, gated_layers=2)
    with torch.no_grad():
        torch.testing.assert_close(trunk(X)[0][1:], trunk(X[1:])[0])


@pytest.mark.parametrize('gated', [0, 3])
def test_as_many_layers_as_there_are(gated):
    with pytest.raises(ValueError, match=rf'gated_layers.*1 to 2.*got {gated}'):
        SATVisionTransformer(
            arch=VIT['arch'], img_size=32, patch_size=8, gated_layers=gated
        )
