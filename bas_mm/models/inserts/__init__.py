from bas_mm.models.inserts.adl import ADL, adl_maps

__all__ = ['ADL', 'adl_maps']
