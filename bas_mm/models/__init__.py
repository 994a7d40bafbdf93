from bas_mm.models.backbones import EfficientNetLite0, MobileNetV1, WSOLInceptionV3
from bas_mm.models.classifiers import (
    BASClassifier,
    CAMClassifier,
    Localizer,
    TwoNetworks,
    WSOLClassifier,
)
from bas_mm.models.data_preprocessor import WSOLDataPreprocessor
from bas_mm.models.heads import BASHead, CAMHead
from bas_mm.models.losses import AMCLoss
from bas_mm.models.necks import SplitNeck

__all__ = [
    'AMCLoss',
    'BASClassifier',
    'BASHead',
    'CAMClassifier',
    'CAMHead',
    'EfficientNetLite0',
    'Localizer',
    'MobileNetV1',
    'SplitNeck',
    'TwoNetworks',
    'WSOLClassifier',
    'WSOLDataPreprocessor',
    'WSOLInceptionV3',
]
