"""Reports of runs side by side: figures with intervals, plots and drawings."""

from bas_mm.analysis.report.page import build_report

__all__ = ['build_report']
