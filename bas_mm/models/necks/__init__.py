from bas_mm.models.necks.split_neck import SplitNeck
from bas_mm.models.necks.token_neck import TokenNeck

__all__ = ['SplitNeck', 'TokenNeck']
