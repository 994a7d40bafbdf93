from .cub import CUBLocalization
from .custom import CustomLocalization
from .imagenet import ImageNetLocalization
from .toy import ToyLocalization
from .transforms import LoadLocAnnotations, PackLocInputs, TenCrop

__all__ = [
    'CUBLocalization',
    'CustomLocalization',
    'ImageNetLocalization',
    'LoadLocAnnotations',
    'PackLocInputs',
    'TenCrop',
    'ToyLocalization',
]
