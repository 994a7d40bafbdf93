from .split_neck import SplitNeck

__all__ = ['SplitNeck']
