import numpy as np
import pytest
import torch

from bas_mm.models import TokenCutHead, token_cut
from tests.helpers.components import flood


def by_numpy(feat, threshold, eps):
    """The generalized problem, without symmetry, for features ``(N, h, w)``."""
    n, h, w = feat.shape
    keys = feat.reshape(n, -1).T.astype(float)
    keys = keys / np.linalg.norm(keys, axis=1, keepdims=True)
    edges = np.full((h * w, h * w), eps)
    for i in range(h * w):
        for j in range(h * w):
            if keys[i] @ keys[j] > threshold:
                edges[i, j] = 1.0
    degree = np.diag(edges.sum(1))
    values, vectors = np.linalg.eig(np.linalg.inv(degree) @ (degree - edges))
    y = vectors[:, np.argsort(values.real)[1]].real
    seed = int(np.abs(y).argmax())
    side = (y > y.mean()) == (y > y.mean())[seed]
    return flood(side.reshape(h, w).tolist(), seed)


@pytest.mark.parametrize('threshold, eps', [(0.2, 1e-5), (0.0, 1e-2), (-0.2, 1e-3)])
@pytest.mark.parametrize('size', [(5, 4), (3, 7)])
def test_by_numpy(threshold, eps, size):
    feats = torch.randn(4, 6, *size, generator=torch.Generator().manual_seed(0))
    masks = token_cut(feats, threshold, eps)
    assert masks.dtype == torch.bool and masks.shape == (4, *size)
    for feat, mask in zip(feats, masks):
        assert mask.tolist() == by_numpy(feat.numpy(), threshold, eps)


def test_two_parts():
    """The smaller part has the larger values in the eigenvector."""
    feats = torch.zeros(1, 2, 6, 6)
    feats[:, 0] = 1.0
    feats[:, :, 1:3, 2:5] = torch.tensor([0.0, 1.0])[:, None, None]
    expected = torch.zeros(6, 6, dtype=torch.bool)
    expected[1:3, 2:5] = True
    assert torch.equal(token_cut(feats)[0], expected)


@pytest.mark.parametrize('value', [0.0, 1.0])
def test_all_alike(value):
    mask = token_cut(torch.full((2, 3, 4, 5), value))
    assert mask.shape == (2, 4, 5) and mask.flatten(1).any(1).all()


def test_an_image_alone():
    feats = torch.randn(3, 8, 5, 5)
    assert torch.equal(token_cut(feats)[1:2], token_cut(feats[1:2]))


def test_bad_options():
    with pytest.raises(ValueError, match=r'model\.head\.eps.*got 0'):
        TokenCutHead(num_classes=3, eps=0)
