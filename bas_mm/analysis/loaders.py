"""The test set, for studies that run no Runner."""

from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from mmpretrain.registry import DATASETS
from torch.utils.data import DataLoader

from bas_mm.visualization.sheet import spread_indices


def build_loader(cfg: Config, num: int | None = None) -> DataLoader:
    """Build the loader of a config's test set, in order.

    Args:
        cfg: The config.
        num: So many images only, spread evenly over the test set.

    Returns:
        Its batches hold lists: ``inputs`` (uint8 views), ``data_samples``.

    Raises:
        ValueError: If ``num`` is below 1.
    """
    settings = cfg.test_dataloader
    dataset = DATASETS.build(settings.dataset)
    if num is not None:
        dataset.get_subset_(spread_indices(len(dataset), num))
    return Runner.build_dataloader(
        dict(
            dataset=dataset,
            batch_size=settings.batch_size,
            num_workers=settings.get('num_workers', 0),
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=pseudo_collate,
        )
    )
