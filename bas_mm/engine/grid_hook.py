import os.path as osp
from typing import List, Optional, Sequence

import numpy as np
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from bas_mm.registry import HOOKS
from bas_mm.visualization.sheet import make_grid, spread_indices, write_drawing


@HOOKS.register_module()
class GridHook(Hook):
    """Writes one sheet of pictures after every validation and test.

    The pictures are spread evenly over the data set, whose samples are sorted
    by class in the stock order, and drawn by the visualizer of the config.
    Training steps are not touched. Under several processes the first one
    draws from its own share of the data.

    Args:
        num (int): Number of pictures. Defaults to 24.
        cols (int): Pictures a row. Defaults to 6.
        out_dir (str, optional): Folder for ``grid.png``. Defaults to the work
            dir.
        **draw_args: Options of :meth:`bas_mm.WSOLVisualizer.draw`.

    Raises:
        ValueError: If ``num`` or ``cols`` is below 1.
    """

    priority = 'LOW'

    def __init__(
        self, num: int = 24, cols: int = 6, out_dir: Optional[str] = None, **draw_args
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
        self._tiles: List[np.ndarray] = []

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
        data_batch: Optional[dict] = None,
        outputs: Optional[Sequence] = None,
    ) -> None:
        """Draw the chosen samples of a batch.

        Args:
            runner (Runner): The runner.
            batch_idx (int): Index of the batch.
            data_batch (dict): ``inputs`` holds the views, ``(3, h, w)`` uint8
                each.
            outputs (Sequence[DataSample]): The predictions.
        """
        for index, sample in enumerate(outputs, self._seen):
            if index in self._wanted:
                image = data_batch['inputs'][index - self._seen]
                image = image.permute(1, 2, 0).cpu().numpy().astype(np.uint8)
                self._tiles.append(
                    runner.visualizer.draw(image, sample, **self.draw_args)
                )
        self._seen += len(outputs)

    def after_val_epoch(self, runner: Runner, metrics=None) -> None:
        """Write the sheet."""
        if not self._tiles:
            return
        path = osp.join(self.out_dir or runner.work_dir, 'grid.png')
        sheet = make_grid(self._tiles, self.cols)
        write_drawing(path, sheet)
        runner.logger.info(f'{len(self._tiles)} pictures are in {path}')
        self._tiles = []

    after_test_iter = after_val_iter
    after_test_epoch = after_val_epoch

    def _start(self, dataloader) -> None:
        self._tiles = []
        self._seen = 0
        self._wanted = set()
        if is_main_process():
            total = len(dataloader.sampler)  # this process's share
            self._wanted.update(spread_indices(total, self.num))
