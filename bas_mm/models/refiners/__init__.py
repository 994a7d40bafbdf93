from bas_mm.models.refiners.flip_scale import FlipScaleRefiner
from bas_mm.models.refiners.scg import SCGRefiner, scg

__all__ = ['FlipScaleRefiner', 'SCGRefiner', 'scg']
