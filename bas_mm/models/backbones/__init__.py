from .efficientnet_lite import EfficientNetLite0
from .mobilenet_v1 import MobileNetV1
from .wsol_inception_v3 import WSOLInceptionV3

__all__ = ['EfficientNetLite0', 'MobileNetV1', 'WSOLInceptionV3']
