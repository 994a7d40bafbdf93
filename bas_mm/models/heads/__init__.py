from bas_mm.models.heads.bas_head import BASHead
from bas_mm.models.heads.cam_head import CAMHead, clamped_cam
from bas_mm.models.heads.eil_head import EILHead
from bas_mm.models.heads.rcam_head import RCAMHead, threshold_avg_pool

__all__ = [
    'BASHead',
    'CAMHead',
    'EILHead',
    'RCAMHead',
    'clamped_cam',
    'threshold_avg_pool',
]
