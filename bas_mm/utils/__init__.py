from bas_mm.utils.env import check_environment

__all__ = ['check_environment']
