"""A test that was stopped goes on with the maps that it kept."""

from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from bas_mm.apis.journal import stamp
from bas_mm.engine.summary_hook import config_hash, data_fingerprint
from bas_mm.evaluation import DumpMaps
from bas_mm.evaluation.wsol_metric import WSOLMetric
from bas_mm.utils.models import unwrap
from bas_mm.utils.texts import plural

#: Fields of a config that the maps of a test depend on.
_FIELDS = ('model', 'data_preprocessor', 'test_dataloader', 'test_cfg', 'randomness')


def describe_maps(
    runner: Runner, checkpoint: str | None, views: int, fast: bool = False
) -> dict[str, Any] | None:
    """Say what the maps of a test depend on.

    Args:
        runner: What tests.
        checkpoint: The file of the weights; None where the config names them.
        views: How many views are kept.
        fast: Whether precision was traded for time.

    Returns:
        Names to values; None where a test cannot go on: one of its metrics
        takes more of a sample than a dump keeps, or nobody knows which images
        are in a batch.
    """
    loader = runner.test_dataloader
    metrics = runner.test_evaluator.metrics
    if not (
        all(isinstance(metric, WSOLMetric) for metric in metrics)
        and hasattr(getattr(loader, 'batch_sampler', None), 'sampler')
        and hasattr(loader.dataset, 'get_data_info')
    ):
        return None
    fields = {name: runner.cfg.get(name) for name in _FIELDS}
    return dict(
        config=config_hash(Config(fields)),
        checkpoint=stamp(checkpoint),
        data=data_fingerprint(loader.dataset),
        views=views,
        processes=runner.world_size,
        device=next(unwrap(runner.model).parameters()).device.type,
        **(dict(fast=True) if fast else {}),
    )


def go_on(runner: Runner, dump: DumpMaps) -> int:
    """Let a test take what an unfinished dump holds, and compute the rest.

    Batches are computed whole, with the images that they would have had, so
    that the figures are those of a test that was not stopped, bit for bit.

    Args:
        runner: What tests; the dump is among its metrics.
        dump: What may have been begun.

    Returns:
        How many images are there already, of this process.
    """
    done = set()
    for sample in dump.restore():
        done.add(sample['img_path'])
        runner.test_evaluator.process([sample])
    if not done:
        return 0
    dataset, batches = (
        getattr(runner.test_dataloader, name) for name in ('dataset', 'batch_sampler')
    )
    order, size = list(batches.sampler), batches.batch_size
    batches.sampler = [
        index
        for start in range(0, len(order), size)
        for index in order[start : start + size]
        if not all(
            str(dataset.get_data_info(i)['img_path']) in done
            for i in order[start : start + size]
        )
    ]
    if is_main_process():
        print(
            f'Going on after {plural(len(done), "image")} of {dump.folder}', flush=True
        )
    return len(done)
