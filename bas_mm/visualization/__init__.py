from .visualizer import WSOLVisualizer

__all__ = ['WSOLVisualizer']
