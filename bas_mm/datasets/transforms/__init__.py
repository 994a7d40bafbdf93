from bas_mm.datasets.transforms.formatting import PackLocInputs
from bas_mm.datasets.transforms.hide_and_seek import HideAndSeek
from bas_mm.datasets.transforms.loading import LoadImageFromFile, LoadLocAnnotations
from bas_mm.datasets.transforms.ten_crop import TenCrop

__all__ = [
    'HideAndSeek',
    'LoadImageFromFile',
    'LoadLocAnnotations',
    'PackLocInputs',
    'TenCrop',
]
