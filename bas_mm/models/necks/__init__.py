from bas_mm.models.necks.split_neck import SplitNeck

__all__ = ['SplitNeck']
