from bas_mm.datasets.transforms.formatting import PackLocInputs
from bas_mm.datasets.transforms.loading import LoadImageFromFile, LoadLocAnnotations
from bas_mm.datasets.transforms.ten_crop import TenCrop

__all__ = ['LoadImageFromFile', 'LoadLocAnnotations', 'PackLocInputs', 'TenCrop']
