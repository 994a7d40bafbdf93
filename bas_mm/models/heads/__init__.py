from bas_mm.models.heads.acol_head import ACoLHead
from bas_mm.models.heads.bas_head import BASHead
from bas_mm.models.heads.box_head import BoxHead
from bas_mm.models.heads.c2am_head import C2AMHead
from bas_mm.models.heads.cam_head import CAMHead, clamped_cam
from bas_mm.models.heads.danet_head import DANetHead, map_divergence
from bas_mm.models.heads.eil_head import EILHead
from bas_mm.models.heads.gcnet_head import GCNetHead
from bas_mm.models.heads.loc_head import AgnosticHead, LocHead
from bas_mm.models.heads.rcam_head import RCAMHead, threshold_avg_pool
from bas_mm.models.heads.spg_head import SPGHead, spg_losses
from bas_mm.models.heads.spol_head import SegHead, SPOLHead

__all__ = [
    'ACoLHead',
    'AgnosticHead',
    'BASHead',
    'BoxHead',
    'C2AMHead',
    'CAMHead',
    'DANetHead',
    'EILHead',
    'GCNetHead',
    'LocHead',
    'RCAMHead',
    'SPGHead',
    'SPOLHead',
    'SegHead',
    'clamped_cam',
    'map_divergence',
    'spg_losses',
    'threshold_avg_pool',
]
