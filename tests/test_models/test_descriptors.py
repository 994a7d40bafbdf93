import numpy as np
import pytest
import torch

from bas_mm.models import DDT, ddt


def test_equals_a_singular_value_decomposition():
    rng = np.random.default_rng(0)
    feats = rng.normal(size=(3, 5, 4, 6)).astype(np.float32)
    feats[:, 2] *= 4
    places = feats.transpose(0, 2, 3, 1).reshape(-1, 5).astype(float)
    axis = np.linalg.svd(places - places.mean(0))[2][0]
    expected = (places - places.mean(0)) @ axis
    expected *= np.sign(expected[np.abs(expected).argmax()])
    ours = ddt(torch.from_numpy(feats))
    assert ours.dtype == torch.float32 and ours.shape == (3, 4, 6)
    np.testing.assert_allclose(ours.flatten(), expected, atol=1e-5)


@pytest.mark.parametrize('sign', [1, -1])
def test_the_object_is_positive(sign):
    """A few places that are far from the rest, in each of two images."""
    torch.manual_seed(0)
    feats = 0.1 * torch.randn(2, 8, 5, 5)
    feats[:, :, 1:3, 2:4] += sign * 3.0
    found = ddt(feats) > 0
    expected = torch.zeros(2, 5, 5, dtype=torch.bool)
    expected[:, 1:3, 2:4] = True
    assert torch.equal(found, expected)
    # the axis goes for an image that it was not made from
    other = 0.1 * torch.randn(1, 8, 5, 5)
    other[:, :, 4, 0] += sign * 3.0
    assert (DDT(feats)(other) > 0).nonzero().tolist() == [[0, 4, 0]]


def test_more_channels_than_places_and_no_contrast():
    feats = torch.randn(1, 50, 2, 2)
    assert torch.isfinite(ddt(feats)).all()
    assert not ddt(torch.full((2, 3, 2, 2), 5.0)).any()
    assert ddt(feats.half()).dtype == torch.float32


def test_wrong_shapes():
    for feats in (torch.zeros(3, 2, 2), torch.zeros(0, 3, 2, 2)):
        with pytest.raises(ValueError, match=r'feats.*\(n, N, h, w\) is needed'):
            ddt(feats)
