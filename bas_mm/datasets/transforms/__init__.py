from bas_mm.datasets.transforms.formatting import PackLocInputs
from bas_mm.datasets.transforms.hide_and_seek import HideAndSeek
from bas_mm.datasets.transforms.loading import LoadImageFromFile, LoadLocAnnotations
from bas_mm.datasets.transforms.pseudo_labels import (
    LoadPseudoLabels,
    PseudoFlip,
    PseudoResizedCrop,
)
from bas_mm.datasets.transforms.ten_crop import TenCrop

__all__ = [
    'HideAndSeek',
    'LoadImageFromFile',
    'LoadLocAnnotations',
    'LoadPseudoLabels',
    'PackLocInputs',
    'PseudoFlip',
    'PseudoResizedCrop',
    'TenCrop',
]
