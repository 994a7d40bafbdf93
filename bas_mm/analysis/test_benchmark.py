"""The ten-crop test beside a plain version."""

from collections.abc import Iterator

import torch
from mmengine.config import Config

from bas_mm.analysis.arms import ArmTime, time_arms
from bas_mm.analysis.plain import Ways, first_views, load_plain_model


def time_tests(
    cfg: Config,
    checkpoint: str | None,
    batch_sizes: list[int],
    rounds: int,
    device: torch.device,
) -> Iterator[list[ArmTime]]:
    """Time the test of a config, and a plain version of it.

    Args:
        cfg: A config; its test pipeline says which crops there are.
        checkpoint: Weights; None for random ones.
        batch_sizes: Images at once; images are those of the test set.
        rounds: Timed batches of each.
        device: Where they run.

    Yields:
        For each size the times of ours, then of the plain one.

    Raises:
        ValueError: If the plain version finds something else, there is none for the
            model, or a number is below 1.
    """
    model = load_plain_model(cfg, checkpoint, device)
    for size in batch_sizes:
        batch = first_views(cfg, size)
        ways = Ways(model, batch)
        ways.check()
        arms = {'bas_mm': ways.ours, 'plain': ways.plain}
        yield time_arms(arms, rounds, len(batch['inputs']), device, model.parameters())
