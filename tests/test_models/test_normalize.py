import numpy as np
import torch

from bas_mm.localization import normalize_map
from bas_mm.models.normalize import normalize_maps


def test_equals_the_one_on_the_host():
    torch.manual_seed(0)
    maps = torch.randn(2, 3, 4, 5)
    maps[0, 1] = 7.0
    expected = np.stack([[normalize_map(m) for m in one] for one in maps])
    np.testing.assert_allclose(normalize_maps(maps), expected, rtol=1e-6)
    assert normalize_maps(maps.half()).dtype == torch.float32


def test_a_constant_map_has_a_gradient_and_no_nan():
    maps = torch.full((1, 2, 2), -3.0, requires_grad=True)
    normalize_maps(maps).sum().backward()
    assert torch.isfinite(maps.grad).all()
