from bas_mm.models.losses.amc_loss import AMCLoss
from bas_mm.models.losses.c2am_loss import C2AMLoss, c2am_losses
from bas_mm.models.losses.i2c_loss import I2CLoss
from bas_mm.models.losses.ornet_loss import ORNetLoss, ornet_losses
from bas_mm.models.losses.ram_loss import RAMLoss, ram_loss

__all__ = [
    'AMCLoss',
    'C2AMLoss',
    'I2CLoss',
    'ORNetLoss',
    'RAMLoss',
    'c2am_losses',
    'ornet_losses',
    'ram_loss',
]
