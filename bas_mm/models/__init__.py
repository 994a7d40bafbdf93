from bas_mm.models.backbones import EfficientNetLite0, MobileNetV1, WSOLInceptionV3
from bas_mm.models.classifiers import (
    BASClassifier,
    CAMClassifier,
    Localizer,
    TwoNetworks,
    WSOLClassifier,
)
from bas_mm.models.data_preprocessor import WSOLDataPreprocessor
from bas_mm.models.erasing import keep_below
from bas_mm.models.heads import (
    BASHead,
    CAMHead,
    EILHead,
    RCAMHead,
    clamped_cam,
    threshold_avg_pool,
)
from bas_mm.models.inserts import ADL, adl_maps
from bas_mm.models.losses import AMCLoss, RAMLoss, ram_loss
from bas_mm.models.necks import SplitNeck
from bas_mm.models.refiners import FlipScaleRefiner, SCGRefiner, ZoomRefiner, scg

__all__ = [
    'ADL',
    'AMCLoss',
    'BASClassifier',
    'BASHead',
    'CAMClassifier',
    'CAMHead',
    'EILHead',
    'EfficientNetLite0',
    'FlipScaleRefiner',
    'Localizer',
    'MobileNetV1',
    'RAMLoss',
    'RCAMHead',
    'SCGRefiner',
    'SplitNeck',
    'TwoNetworks',
    'WSOLClassifier',
    'WSOLDataPreprocessor',
    'WSOLInceptionV3',
    'ZoomRefiner',
    'adl_maps',
    'clamped_cam',
    'keep_below',
    'ram_loss',
    'scg',
    'threshold_avg_pool',
]
