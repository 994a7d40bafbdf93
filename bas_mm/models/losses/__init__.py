from bas_mm.models.losses.amc_loss import AMCLoss

__all__ = ['AMCLoss']
