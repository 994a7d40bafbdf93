"""The ten-crop test beside a plain version."""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.config import Config

from bas_mm.analysis.arms import ArmTime, Stopwatch, time_arms
from bas_mm.analysis.plain import (
    Found,
    first_views,
    load_plain_model,
    plain_boxes,
    plain_maps,
    predict,
    require_equal,
)
from bas_mm.localization import as_array
from bas_mm.models.classifiers.building import gt_labels


class CropArms:
    """Ways from a batch of a test to scores, maps and boxes.

    Args:
        model: Of :func:`bas_mm.analysis.plain.load_plain_model`.
        batch: As the loader gives it.
    """

    def __init__(self, model: Any, batch: dict[str, Any]) -> None:
        self.model = model
        self.batch = batch
        self.options = model.head.test_options()

    def _data(self) -> dict[str, Any]:
        return self.model.data_preprocessor(copy.deepcopy(self.batch), False)

    @torch.no_grad()
    def ours(self, watch: Stopwatch) -> Found:
        """Test as the runner does."""
        return predict(self.model, self._data(), self.options, watch)

    @torch.no_grad()
    def plain(self, watch: Stopwatch) -> Found:
        """Run each crop through the whole network, and the view once more."""
        data = self._data()
        views, crops = data['inputs'], data.get('crops')
        labels = None
        if self.options.map_label == 'gt':
            labels = gt_labels(data['data_samples']).to(views.device)
        each = [views] if crops is None else [views, *crops.unbind(1)]
        scores = torch.stack(
            [plain_maps(self.model, x, labels, self.options, watch)[0] for x in each]
        ).mean(0)
        if labels is None:
            labels = scores.argmax(1)
        _, maps = plain_maps(self.model, views, labels, self.options, watch)
        with watch.part('boxes'):
            return Found(as_array(scores), maps, plain_boxes(maps, views, self.options))

    def check(self) -> None:
        """Check that both find the same.

        Raises:
            ValueError: If they do not.
        """
        watch = Stopwatch(next(self.model.parameters()).device)
        ours, plain = self.ours(watch), self.plain(watch)
        boxes = plain_boxes(ours.maps, self._data()['inputs'], self.options)
        require_equal(ours, plain, boxes)


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
        ways = CropArms(model, batch)
        ways.check()
        arms = {'bas_mm': ways.ours, 'plain': ways.plain}
        yield time_arms(arms, rounds, len(batch['inputs']), device, model.parameters())
