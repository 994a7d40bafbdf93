"""A sheet of drawings after every validation and test."""

import os.path as osp
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.visualization import LocalVisBackend

from bas_mm.registry import HOOKS
from bas_mm.visualization.sheet import make_grid, spread_indices, write_drawing


@HOOKS.register_module()
class GridHook(Hook):
    """Writes one sheet of drawings after every validation and test.

    The images are spread evenly over the data set, whose samples are sorted
    by class in the stock order, and drawn by the visualizer of the config.
    Backends of the visualizer that are not the local folder (TensorBoard,
    Weights & Biases, ...) get it as the image ``grid``.
    Training steps are not touched. Under several processes the first one
    draws from its own share of the data.

    Args:
        num: Number of images.
        cols: Images a row.
        out_dir: Folder for ``grid.png``. Defaults to the work dir.
        **draw_args: Options of :meth:`bas_mm.WSOLVisualizer.draw`.

    Raises:
        ValueError: If ``num`` or ``cols`` is below 1.
    """

    priority = 'LOW'

    def __init__(
        self,
        num: int = 24,
        cols: int = 6,
        out_dir: str | None = None,
        **draw_args: Any,
    ) -> None:
        if num < 1 or cols < 1:
            raise ValueError(
                'GridHook needs `num` and `cols` of at least 1, '
                f'got num={num}, cols={cols}.'
            )
        self.num = num
        self.cols = cols
        self.out_dir = out_dir
        self.draw_args = draw_args
        self._tiles: list[np.ndarray] = []
        self._wanted: set[int] = set()
        self._seen = 0

    def before_run(self, runner: Runner) -> None:
        """Check the visualizer before anything is computed.

        Raises:
            TypeError: If the visualizer has no ``draw``.
        """
        if not hasattr(runner.visualizer, 'draw'):
            raise TypeError(
                'GridHook needs a visualizer that draws localizations, got '
                f'{type(runner.visualizer).__name__}. Set '
                "`visualizer=dict(type='bas_mm.WSOLVisualizer')` in the "
                'config, or take the hook out.'
            )

    def before_val_epoch(self, runner: Runner) -> None:
        """Choose which samples to draw."""
        self._start(runner.val_dataloader)

    def before_test_epoch(self, runner: Runner) -> None:
        """Choose which samples to draw."""
        self._start(runner.test_dataloader)

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Mapping[str, Any] | None = None,
        outputs: Sequence[Any] = (),
    ) -> None:
        """Draw the chosen samples of a batch.

        Args:
            runner: The runner.
            batch_idx: Index of the batch.
            data_batch: ``inputs`` holds the views, ``(3, h, w)`` uint8 each.
            outputs: The predictions, data samples.
        """
        for index, sample in enumerate(outputs, self._seen):
            if index in self._wanted and data_batch is not None:
                view = data_batch['inputs'][index - self._seen]
                view = view.permute(1, 2, 0).cpu().numpy().astype(np.uint8)
                self._tiles.append(
                    runner.visualizer.draw(view, sample, **self.draw_args)
                )
        self._seen += len(outputs)

    def after_val_epoch(self, runner: Runner, metrics: Any = None) -> None:
        """Write the sheet."""
        if not self._tiles:
            return
        path = osp.join(self.out_dir or runner.work_dir, 'grid.png')
        sheet = make_grid(self._tiles, self.cols)
        write_drawing(path, sheet)
        for backend in getattr(runner.visualizer, '_vis_backends', {}).values():
            if not isinstance(backend, LocalVisBackend):  # the file is there
                backend.add_image('grid', sheet, step=self._step(runner))
        runner.logger.info(f'{len(self._tiles)} drawings are in {path}')
        self._tiles = []

    @staticmethod
    def _step(runner: Runner) -> int:
        """Give the step of the training; 0 of a test alone."""
        return 0 if isinstance(runner._train_loop, (dict, type(None))) else runner.iter

    after_test_iter = after_val_iter
    after_test_epoch = after_val_epoch

    def _start(self, dataloader: Any) -> None:
        self._tiles = []
        self._seen = 0
        self._wanted = set()
        if is_main_process():
            total = len(dataloader.sampler)  # this process's share
            self._wanted.update(spread_indices(total, self.num))
