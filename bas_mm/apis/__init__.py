from .coco import CocoFile, encode_rle
from .inferencer import WSOLInferencer, leaf_dataset, load_image
from .stored_config import stored_config

__all__ = [
    'CocoFile',
    'WSOLInferencer',
    'encode_rle',
    'leaf_dataset',
    'load_image',
    'stored_config',
]
