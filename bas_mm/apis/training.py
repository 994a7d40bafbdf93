"""From a folder of images to a trained localizer, in one call."""

import dataclasses
import os
import os.path as osp
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mmengine.dist import is_main_process
from mmengine.runner import Runner, find_latest_checkpoint

from bas_mm.apis.inferencer import WSOLInferencer


@dataclass(frozen=True)
class TrainedRun:
    """What training on a folder of images leaves.

    Args:
        checkpoint: Path of the last checkpoint, which carries its config.
        config: Path of the config, with all that was chosen.
        work_dir: The folder that holds them, the log and the report.
        metrics: Figures of the test images, by name; empty without a test.
        report: Path of the page of the test images; None without a test.
    """

    checkpoint: str
    config: str
    work_dir: str
    metrics: dict[str, float] = field(default_factory=dict)
    report: str | None = None

    def inferencer(self, **options: Any) -> WSOLInferencer:
        """Load the checkpoint, ready for any images.

        Args:
            **options: Of :class:`~bas_mm.apis.WSOLInferencer`.
        """
        return WSOLInferencer(self.checkpoint, **options)


def train(
    data: str | os.PathLike[str],
    method: str = 'bas',
    *,
    work_dir: str | os.PathLike[str] | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    device: str | None = None,
    test: bool = True,
    cfg_options: Mapping[str, Any] | None = None,
) -> TrainedRun:
    """Train on a folder that holds a folder of images for each class.

    The same as ``bas-mm train DATA``: it prints what it chose, trains, tests the
    checkpoint on the images that are not trained on, and writes a report. See
    :func:`~bas_mm.apis.folder_recipe.plan_folder` for the folder and what is
    chosen. No box is needed; where there are some, they are used to measure.

    Args:
        data: The folder.
        method: ``'bas'``, ``'cam'``, or any other that has a config for folders
            of images (``<method>_efficientnet-lite0_custom``).
        work_dir: Folder for log, checkpoint and report. Defaults to
            ``work_dirs/<method>_<name of the folder>``.
        epochs: Defaults to what suits the number of images.
        seed: Of the training; the images that are held out do not depend on it.
        device: ``'cpu'``, ``'cuda'``, ... Defaults to an accelerator if there is
            one.
        test: Test the checkpoint and write the report.
        cfg_options: Settings of the config that win, as ``--cfg-options``.

    Returns:
        Where everything is, and the figures.

    Raises:
        FileNotFoundError: If there is no such folder, or no image.
        ValueError: If an option is not allowed, or there are fewer than two
            classes.

    Example::

        run = bas_mm.train('photos/')
        run.inferencer()('photo.jpg')[0]['bbox']
    """
    from bas_mm.commands import build_parser  # the command imports this module

    args = build_parser('train').parse_args(['DATA'])
    vars(args).update(
        config=os.fspath(data),
        folder=True,
        method=method,
        work_dir=None if work_dir is None else os.fspath(work_dir),
        epochs=epochs,
        seed=seed,
        device=device,
        no_validate=not test,
        cfg_options=dict(cfg_options or {}),
    )
    return args.run(args)


def find_run(runner: Runner) -> TrainedRun:
    """Say where a Runner that has trained leaves its checkpoint and config."""
    work_dir = runner.work_dir
    return TrainedRun(
        checkpoint=find_latest_checkpoint(work_dir),
        config=osp.join(work_dir, osp.basename(runner.cfg.filename)),
        work_dir=work_dir,
    )


def write_report(run: TrainedRun, metrics: dict[str, Any], dump: str) -> TrainedRun:
    """Write the report of a run that was tested.

    Args:
        run: Where the checkpoint is.
        metrics: Figures of its test.
        dump: What the test wrote, see :class:`~bas_mm.evaluation.DumpMaps`.

    Returns:
        The run with its figures and report.
    """
    from bas_mm.analysis.report import build_report  # which brings matplotlib

    report = osp.join(run.work_dir, 'report.html')
    name = osp.basename(osp.normpath(run.work_dir))
    if is_main_process():
        build_report([dump], [name])[0].write(report)
    return dataclasses.replace(run, metrics=metrics, report=report)
