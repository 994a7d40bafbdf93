from bas_mm.models.backbones.dino_vit import DINOVisionTransformer
from bas_mm.models.backbones.efficientnet_lite import EfficientNetLite0
from bas_mm.models.backbones.mobilenet_v1 import MobileNetV1
from bas_mm.models.backbones.sat_vit import SATVisionTransformer
from bas_mm.models.backbones.wsol_inception_v3 import WSOLInceptionV3

__all__ = [
    'DINOVisionTransformer',
    'EfficientNetLite0',
    'MobileNetV1',
    'SATVisionTransformer',
    'WSOLInceptionV3',
]
