from bas_mm.models.losses.amc_loss import AMCLoss
from bas_mm.models.losses.i2c_loss import I2CLoss
from bas_mm.models.losses.ram_loss import RAMLoss, ram_loss

__all__ = ['AMCLoss', 'I2CLoss', 'RAMLoss', 'ram_loss']
