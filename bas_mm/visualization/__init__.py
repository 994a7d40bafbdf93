from bas_mm.visualization.visualizer import WSOLVisualizer

__all__ = ['WSOLVisualizer']
