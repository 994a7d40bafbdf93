import pytest
import torch

from bas_mm.models import LOSTHead, lost
from tests.helpers.components import flood


def by_loops(feat, max_seeds):
    """Patch by patch, for features ``(N, h, w)``."""
    n, h, w = feat.shape
    keys = [feat[:, i // w, i % w].tolist() for i in range(h * w)]

    def dot(a, b):
        return sum(x * y for x, y in zip(a, b))

    degree = [sum(dot(k, other) >= 0 for other in keys) for k in keys]
    rare = sorted(range(h * w), key=lambda i: degree[i])[:max_seeds]
    seed = rare[0]
    seeds = [i for i in rare if dot(keys[i], keys[seed]) >= 0]
    mask = [
        [sum(dot(keys[y * w + x], keys[s]) for s in seeds) >= 0 for x in range(w)]
        for y in range(h)
    ]
    return flood(mask, seed)


@pytest.mark.parametrize('max_seeds', [1, 4, 100])
@pytest.mark.parametrize('size', [(5, 4), (3, 7)])
def test_by_loops(max_seeds, size):
    feats = torch.randn(4, 3, *size, generator=torch.Generator().manual_seed(0))
    masks = lost(feats, max_seeds)
    assert masks.dtype == torch.bool and masks.shape == (4, *size)
    for feat, mask in zip(feats, masks):
        assert mask.tolist() == by_loops(feat, max_seeds)


def test_the_smaller_of_two_parts_is_the_object():
    """Keys that point one way in a block and the other way around it."""
    feats = torch.full((1, 2, 6, 6), -1.0)
    feats[:, :, 1:3, 2:5] = 1.0
    noise = torch.randn(feats.shape, generator=torch.Generator().manual_seed(1))
    mask = lost(feats + 0.1 * noise)[0]
    expected = torch.zeros(6, 6, dtype=torch.bool)
    expected[1:3, 2:5] = True
    assert torch.equal(mask, expected)


def test_all_alike():
    assert lost(torch.ones(1, 3, 4, 5)).all()
    assert lost(torch.zeros(2, 3, 4, 5)).all()


def test_an_image_alone():
    feats = torch.randn(3, 8, 5, 5)
    assert torch.equal(lost(feats)[1:2], lost(feats[1:2]))


def test_bad_options():
    with pytest.raises(ValueError, match=r'model\.head\.max_seeds.*got 0'):
        LOSTHead(num_classes=3, max_seeds=0)
