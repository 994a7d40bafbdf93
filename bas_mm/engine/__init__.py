from . import checkpoint  # noqa: F401  registers its loaders
from .class_check_hook import ClassCheckHook
from .grid_hook import GridHook
from .monitor_hook import WSOLMonitorHook
from .warmup_hook import ClsWarmupHook

__all__ = ['ClassCheckHook', 'ClsWarmupHook', 'GridHook', 'WSOLMonitorHook']
