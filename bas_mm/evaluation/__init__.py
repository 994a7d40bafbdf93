"""Metrics of weakly supervised object localization."""

from bas_mm.evaluation.bootstrap import interval, intervals, resample
from bas_mm.evaluation.loc_breakdown import LocBreakdown
from bas_mm.evaluation.loc_errors import LocErrors
from bas_mm.evaluation.map_reader import MapDump
from bas_mm.evaluation.map_writer import DumpMaps
from bas_mm.evaluation.max_box_acc import MaxBoxAcc
from bas_mm.evaluation.peak_iou import PeakIoU
from bas_mm.evaluation.pxap import PxAP
from bas_mm.evaluation.scores import ScoreFile
from bas_mm.evaluation.wsol_accuracy import WSOLAccuracy
from bas_mm.evaluation.wsol_metric import BoxMetric, WSOLMetric

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
