from bas_mm.models.backbones import EfficientNetLite0, MobileNetV1, WSOLInceptionV3
from bas_mm.models.classifiers import (
    BASClassifier,
    CAMClassifier,
    Localizer,
    TwoNetworks,
    WSOLClassifier,
)
from bas_mm.models.data_preprocessor import WSOLDataPreprocessor
from bas_mm.models.descriptors import DDT, ddt
from bas_mm.models.ellipse import EllipseMask, ellipse_mask
from bas_mm.models.erasing import keep_below
from bas_mm.models.heads import (
    ACoLHead,
    AgnosticHead,
    BASHead,
    BoxHead,
    C2AMHead,
    CAMHead,
    DANetHead,
    EILHead,
    LocHead,
    RCAMHead,
    SPGHead,
    clamped_cam,
    map_divergence,
    spg_losses,
    threshold_avg_pool,
)
from bas_mm.models.inserts import ADL, adl_maps
from bas_mm.models.losses import (
    AMCLoss,
    C2AMLoss,
    I2CLoss,
    ORNetLoss,
    RAMLoss,
    c2am_losses,
    ornet_losses,
    ram_loss,
)
from bas_mm.models.necks import SplitNeck
from bas_mm.models.refiners import FlipScaleRefiner, SCGRefiner, ZoomRefiner, scg

__all__ = [
    'ACoLHead',
    'ADL',
    'AMCLoss',
    'AgnosticHead',
    'BASClassifier',
    'BASHead',
    'BoxHead',
    'C2AMHead',
    'C2AMLoss',
    'CAMClassifier',
    'CAMHead',
    'DANetHead',
    'DDT',
    'EILHead',
    'EfficientNetLite0',
    'EllipseMask',
    'FlipScaleRefiner',
    'I2CLoss',
    'LocHead',
    'Localizer',
    'MobileNetV1',
    'ORNetLoss',
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
    'c2am_losses',
    'clamped_cam',
    'ddt',
    'ellipse_mask',
    'keep_below',
    'map_divergence',
    'ornet_losses',
    'ram_loss',
    'scg',
    'spg_losses',
    'threshold_avg_pool',
]
