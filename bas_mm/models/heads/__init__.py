from bas_mm.models.heads.acol_head import ACoLHead
from bas_mm.models.heads.bas_head import BASHead
from bas_mm.models.heads.box_head import BoxHead
from bas_mm.models.heads.c2am_head import C2AMHead
from bas_mm.models.heads.cam_head import CAMHead, clamped_cam
from bas_mm.models.heads.danet_head import DANetHead, map_divergence
from bas_mm.models.heads.discovery_head import DiscoveryHead
from bas_mm.models.heads.eil_head import EILHead
from bas_mm.models.heads.gcnet_head import GCNetHead
from bas_mm.models.heads.loc_head import AgnosticHead, LocHead
from bas_mm.models.heads.lost_head import LOSTHead, lost
from bas_mm.models.heads.ornet_head import ORNetHead, ORNetRefineHead
from bas_mm.models.heads.rcam_head import RCAMHead, threshold_avg_pool
from bas_mm.models.heads.sat_head import SATHead, sat_losses
from bas_mm.models.heads.spg_head import SPGHead, spg_losses
from bas_mm.models.heads.spol_head import SegHead, SPOLHead
from bas_mm.models.heads.tokencut_head import TokenCutHead, token_cut
from bas_mm.models.heads.trilite_head import TriLiteHead
from bas_mm.models.heads.tscam_head import TSCAMHead, tscam_maps

__all__ = [
    'ACoLHead',
    'AgnosticHead',
    'BASHead',
    'BoxHead',
    'C2AMHead',
    'CAMHead',
    'DANetHead',
    'DiscoveryHead',
    'EILHead',
    'GCNetHead',
    'LOSTHead',
    'LocHead',
    'ORNetHead',
    'ORNetRefineHead',
    'RCAMHead',
    'SATHead',
    'SPGHead',
    'SPOLHead',
    'SegHead',
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
