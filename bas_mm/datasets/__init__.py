from bas_mm.datasets.cub import CUBLocalization
from bas_mm.datasets.custom import CustomLocalization
from bas_mm.datasets.imagenet import ImageNetLocalization
from bas_mm.datasets.toy import ToyLocalization
from bas_mm.datasets.transforms import (
    LoadImageFromFile,
    LoadLocAnnotations,
    PackLocInputs,
    TenCrop,
)

__all__ = [
    'CUBLocalization',
    'CustomLocalization',
    'ImageNetLocalization',
    'LoadImageFromFile',
    'LoadLocAnnotations',
    'PackLocInputs',
    'TenCrop',
    'ToyLocalization',
]
