from bas_mm.datasets.transforms.formatting import PackLocInputs
from bas_mm.datasets.transforms.loading import LoadLocAnnotations
from bas_mm.datasets.transforms.ten_crop import TenCrop

__all__ = ['LoadLocAnnotations', 'PackLocInputs', 'TenCrop']
