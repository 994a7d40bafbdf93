from bas_mm.models.classifiers.localizer import Localizer
from bas_mm.models.classifiers.two_networks import TwoNetworks
from bas_mm.models.classifiers.wsol import (
    BASClassifier,
    CAMClassifier,
    WSOLClassifier,
)

__all__ = [
    'BASClassifier',
    'CAMClassifier',
    'Localizer',
    'TwoNetworks',
    'WSOLClassifier',
]
