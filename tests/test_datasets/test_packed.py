import numpy as np
import pytest

from bas_mm.datasets.packed import PackedInfos

INFOS = [dict(img_path=f'{i}.jpg', gt_label=i, more=[None] * i) for i in range(5)]


def test_as_a_list():
    packed = PackedInfos.pack(iter(INFOS))
    assert list(packed) == INFOS
    for index in range(-5, 5):
        assert packed[index] == INFOS[index]
    for part in (slice(2), slice(-2, None), slice(None, None, 2), slice(9, 12)):
        assert packed[part] == INFOS[part]
    with pytest.raises(IndexError):
        packed[5]
    with pytest.raises(IndexError):
        packed[-6]


def test_nothing():
    packed = PackedInfos.pack([])
    assert len(packed) == 0 and list(packed) == []
    assert packed.data.dtype == np.uint8 and packed.ends.dtype == np.int64
