from bas_mm.models.refiners.flip_scale import FlipScaleRefiner
from bas_mm.models.refiners.scg import SCGRefiner, scg
from bas_mm.models.refiners.zoom import ZoomRefiner

__all__ = ['FlipScaleRefiner', 'SCGRefiner', 'ZoomRefiner', 'scg']
