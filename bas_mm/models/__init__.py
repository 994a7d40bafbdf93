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
    ACoLHead,
    BASHead,
    CAMHead,
    DANetHead,
    EILHead,
    RCAMHead,
    SPGHead,
    clamped_cam,
    map_divergence,
    spg_losses,
    threshold_avg_pool,
)
from bas_mm.models.inserts import ADL, adl_maps
from bas_mm.models.losses import AMCLoss, I2CLoss, RAMLoss, ram_loss
from bas_mm.models.necks import SplitNeck
from bas_mm.models.refiners import FlipScaleRefiner, SCGRefiner, ZoomRefiner, scg

__all__ = [
    'ACoLHead',
    'ADL',
    'AMCLoss',
    'BASClassifier',
    'BASHead',
    'CAMClassifier',
    'CAMHead',
    'DANetHead',
    'EILHead',
    'EfficientNetLite0',
    'FlipScaleRefiner',
    'I2CLoss',
    'Localizer',
    'MobileNetV1',
    'RAMLoss',
    'RCAMHead',
    'SCGRefiner',
    'SPGHead',
    'SplitNeck',
    'TwoNetworks',
    'WSOLClassifier',
    'WSOLDataPreprocessor',
    'WSOLInceptionV3',
    'ZoomRefiner',
    'adl_maps',
    'clamped_cam',
    'keep_below',
    'map_divergence',
    'ram_loss',
    'scg',
    'spg_losses',
    'threshold_avg_pool',
]
