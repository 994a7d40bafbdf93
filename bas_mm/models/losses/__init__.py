from bas_mm.models.losses.amc_loss import AMCLoss
from bas_mm.models.losses.ram_loss import RAMLoss, ram_loss

__all__ = ['AMCLoss', 'RAMLoss', 'ram_loss']
