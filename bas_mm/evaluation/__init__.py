"""Metrics of weakly supervised object localization."""

from .bootstrap import interval, intervals, resample
from .dump_maps import DumpMaps, MapDump
from .loc_breakdown import LocBreakdown
from .loc_errors import LocErrors
from .max_box_acc import MaxBoxAcc
from .peak_iou import PeakIoU
from .pxap import PxAP
from .scores import ScoreFile
from .wsol_accuracy import WSOLAccuracy
from .wsol_metric import BoxMetric, WSOLMetric

__all__ = [
    'BoxMetric',
    'DumpMaps',
    'LocBreakdown',
    'LocErrors',
    'MapDump',
    'MaxBoxAcc',
    'PeakIoU',
    'PxAP',
    'ScoreFile',
    'WSOLAccuracy',
    'WSOLMetric',
    'interval',
    'intervals',
    'resample',
]
