from bas_mm.models.heads.acol_head import ACoLHead
from bas_mm.models.heads.bas_head import BASHead
from bas_mm.models.heads.cam_head import CAMHead, clamped_cam
from bas_mm.models.heads.danet_head import DANetHead, map_divergence
from bas_mm.models.heads.discovery_head import DiscoveryHead
from bas_mm.models.heads.eil_head import EILHead
from bas_mm.models.heads.lost_head import LOSTHead, lost
from bas_mm.models.heads.rcam_head import RCAMHead, threshold_avg_pool
from bas_mm.models.heads.sat_head import SATHead, sat_losses
from bas_mm.models.heads.spg_head import SPGHead, spg_losses
from bas_mm.models.heads.tokencut_head import TokenCutHead, token_cut
from bas_mm.models.heads.trilite_head import TriLiteHead
from bas_mm.models.heads.tscam_head import TSCAMHead, tscam_maps

__all__ = [
    'ACoLHead',
    'BASHead',
    'CAMHead',
    'DANetHead',
    'DiscoveryHead',
    'EILHead',
    'LOSTHead',
    'RCAMHead',
    'SATHead',
    'SPGHead',
    'TSCAMHead',
    'TokenCutHead',
    'TriLiteHead',
    'clamped_cam',
    'lost',
    'map_divergence',
    'sat_losses',
    'spg_losses',
    'threshold_avg_pool',
    'token_cut',
    'tscam_maps',
]
