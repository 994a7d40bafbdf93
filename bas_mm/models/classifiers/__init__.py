from bas_mm.models.classifiers.two_networks import TwoNetworks
from bas_mm.models.classifiers.wsol import (
    BASClassifier,
    CAMClassifier,
    Localizer,
    WSOLClassifier,
)

__all__ = [
    'BASClassifier',
    'CAMClassifier',
    'Localizer',
    'TwoNetworks',
    'WSOLClassifier',
]
