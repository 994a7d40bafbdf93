from bas_mm.engine.calibrate_hook import CalibrateHook
from bas_mm.engine.checkpoint import use_safe_checkpoints
from bas_mm.engine.checkpoint_hook import AtomicCheckpointHook
from bas_mm.engine.class_check_hook import ClassCheckHook
from bas_mm.engine.fast_training import BF16OptimWrapper, CompileHook
from bas_mm.engine.finite_hook import FiniteHook
from bas_mm.engine.grid_hook import GridHook
from bas_mm.engine.merged_steps import MergedOptimWrapperConstructor
from bas_mm.engine.monitor_hook import WSOLMonitorHook
from bas_mm.engine.resumable_runner import ResumableRunner
from bas_mm.engine.settings_hook import SettingsHook
from bas_mm.engine.stop_hook import StopHook
from bas_mm.engine.summary_hook import SummaryHook
from bas_mm.engine.train_loop import ResumableTrainLoop
from bas_mm.engine.warmup_hook import ClsWarmupHook
from bas_mm.engine.whole_checkpoint_hook import WholeCheckpointHook

__all__ = [
    'CalibrateHook',
    'AtomicCheckpointHook',
    'BF16OptimWrapper',
    'ClassCheckHook',
    'ClsWarmupHook',
    'CompileHook',
    'FiniteHook',
    'GridHook',
    'MergedOptimWrapperConstructor',
    'ResumableRunner',
    'ResumableTrainLoop',
    'StopHook',
    'SettingsHook',
    'SummaryHook',
    'WSOLMonitorHook',
    'WholeCheckpointHook',
    'use_safe_checkpoints',
]
