from .bas import BASClassifier
from .cam import CAMClassifier
from .data_preprocessor import WSOLDataPreprocessor

__all__ = ['BASClassifier', 'CAMClassifier', 'WSOLDataPreprocessor']
