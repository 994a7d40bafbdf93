from bas_mm.apis.exports import FORMATS, CocoFile, Export, encode_rle
from bas_mm.apis.images import list_images, load_image
from bas_mm.apis.inferencer import WSOLInferencer
from bas_mm.apis.model import load_model
from bas_mm.apis.stored_config import stored_config
from bas_mm.apis.training import TrainedRun, train

__all__ = [
    'CocoFile',
    'Export',
    'FORMATS',
    'TrainedRun',
    'WSOLInferencer',
    'encode_rle',
    'list_images',
    'load_image',
    'load_model',
    'stored_config',
    'train',
]
