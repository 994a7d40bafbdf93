from bas_mm.models.heads.bas_head import BASHead
from bas_mm.models.heads.cam_head import CAMHead

__all__ = ['BASHead', 'CAMHead']
