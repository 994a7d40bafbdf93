from bas_mm.datasets.cub import CUBLocalization
from bas_mm.datasets.custom import CustomLocalization
from bas_mm.datasets.imagenet import ImageNetLocalization
from bas_mm.datasets.openimages import OpenImagesLocalization
from bas_mm.datasets.samplers import PairedClassSampler
from bas_mm.datasets.seeding import ResumableBatchSampler, SeededDataset
from bas_mm.datasets.toy import ToyLocalization
from bas_mm.datasets.transforms import (
    HideAndSeek,
    LoadImageFromFile,
    LoadLocAnnotations,
    LoadPseudoLabels,
    PackLocInputs,
    PseudoFlip,
    PseudoResizedCrop,
    TenCrop,
)

__all__ = [
    'CUBLocalization',
    'CustomLocalization',
    'HideAndSeek',
    'ImageNetLocalization',
    'LoadImageFromFile',
    'LoadLocAnnotations',
    'LoadPseudoLabels',
    'OpenImagesLocalization',
    'PackLocInputs',
    'PairedClassSampler',
    'PseudoFlip',
    'PseudoResizedCrop',
    'ResumableBatchSampler',
    'SeededDataset',
    'TenCrop',
    'ToyLocalization',
]
