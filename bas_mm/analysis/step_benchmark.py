"""A training step of BAS beside a plain one, and where its time goes."""

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from torch import nn

from bas_mm.analysis.arms import Stopwatch
from bas_mm.analysis.cost import WARM_UP, Trainee, at_epoch
from bas_mm.analysis.flops import best_rates, count_flops
from bas_mm.evaluation.bootstrap import quiet
from bas_mm.models import AMCLoss, BASHead
from bas_mm.models.classifiers.building import gt_labels


class StepTime(NamedTuple):
    """What a training step takes.

    Attributes:
        name: Whose step.
        step: Median time, seconds: of the process on a CPU, else on the clock.
        forward: Share of the losses, with the normalization of the views.
        backward: Share of the gradients.
        optimizer: Share of the update.
        memory: Peak, see :attr:`bas_mm.analysis.cost.Cost.memory`.
        batch_size: Images in the step.
        loss: Of the first step.
        flops: What convolutions and matrix products compute in the step.
        floor: The share of the time that these would take at the best rates of
            this machine, see :func:`bas_mm.analysis.flops.best_rates`.
    """

    name: str
    step: float
    forward: float
    backward: float
    optimizer: float
    memory: float | None
    batch_size: int
    loss: float
    flops: float
    floor: float


class TimedTrainee(Trainee):
    """A trainee whose steps say what their parts take.

    Attributes:
        parts: Seconds of forward pass, backward pass and update, for each step.
        losses: The sum of the losses of each step.
    """

    name = 'bas_mm'

    def __init__(self, cfg: Config, device: torch.device) -> None:
        super().__init__(cfg, device)
        self._clock = Stopwatch(device).read
        self.parts: list[tuple[float, float, float]] = []
        self.losses: list[float] = []

    def step(self) -> float:
        """Train a step, and give its time in seconds."""
        batch = copy.deepcopy(self.batch)
        self.model.train()
        with at_epoch(self.epoch):
            times = [self._clock()]
            with self.optim.optim_context(self.model):
                loss = self.loss(self.model.data_preprocessor(batch, True))
            times.append(self._clock())
            self.optim.backward(self.optim.scale_loss(loss))
            times.append(self._clock())
            self.optim.step()
            self.optim.zero_grad()
            times.append(self._clock())
        first, second, third = np.diff(times)
        self.parts.append((first, second, third))
        self.losses.append(float(loss.detach()))
        return times[-1] - times[0]

    def loss(self, data: dict[str, Any]) -> torch.Tensor:
        """Give the sum of the losses of a batch."""
        return self.model.parse_losses(self.model(**data, mode='loss'))[0]


class PlainTrainee(TimedTrainee):
    """The same training, each step as :func:`plain_losses` and mmengine have it."""

    name = 'plain'

    def __init__(self, cfg: Config, device: torch.device) -> None:
        cfg = copy.deepcopy(cfg)
        cfg.optim_wrapper.constructor = 'DefaultOptimWrapperConstructor'
        super().__init__(cfg, device)

    def loss(self, data: dict[str, Any]) -> torch.Tensor:
        """Give the sum of the losses of a batch."""
        labels = gt_labels(data['data_samples']).to(self.device)
        terms = plain_losses(self.model, data['inputs'], labels).values()
        return torch.stack(list(terms)).sum()


def plain_losses(
    model: Any, views: torch.Tensor, labels: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Compute the losses of BAS in the plainest way, to compare with.

    The maps of all classes are computed and one is taken; ``f2`` and head are
    copied whole for the frozen pass, and the copy gets gradients for its weights,
    which are thrown away; what is said of an image is computed image by image.

    Args:
        model: With a :class:`~bas_mm.models.BASHead` and an
            :class:`~bas_mm.models.AMCLoss` of whatever weights.
        views: ``(B, 3, H, W)``, normalized.
        labels: ``(B,)``.

    Returns:
        The four losses, weighted.
    """
    loss = model.head.loss_module
    network = nn.Sequential(model.neck.f2, model.head.classifier)
    frozen = copy.deepcopy(network)
    feat = model.neck.f1(views)
    logit_map = network(feat)
    logits = logit_map.mean((2, 3))
    maps = model.head.generator(feat).sigmoid()
    fg = torch.stack([maps[b, int(label)] for b, label in enumerate(labels)])[:, None]
    if loss.mask == 'image':
        up = F.interpolate(1 - fg, views.shape[2:], mode='bilinear')
        masked = copy.deepcopy(model.neck.f1)(views * up)
    else:
        masked = feat.detach() * (1 - fg)
    background = frozen(masked).mean((2, 3))
    ratios, guided = [], []
    for b, label in enumerate(labels.tolist()):
        s = logits[b, label].detach().relu()
        ratios.append((background[b, label].relu() / (s + 1e-8)).clamp(max=1))
        cells = F.avg_pool2d(fg[b], fg.shape[-1] // logit_map.shape[-1])
        guided.append((cells * logit_map[b]).mean((1, 2)))
    return dict(
        loss_cls=F.cross_entropy(logits, labels),
        loss_frg=loss.alpha * F.cross_entropy(torch.stack(guided), labels),
        loss_ac=loss.area_weight(logits.shape[1]) * fg.mean(),
        loss_bas=loss.lambda_ * torch.stack(ratios).mean(),
    )


def time_steps(cfg: Config, steps: int, device: torch.device) -> Iterator[StepTime]:
    """Time steps of a config, and plain ones of the same weights and images.

    The two alternate: what else the machine does slows both.

    Args:
        cfg: A config of BAS.
        steps: Timed steps of each.
        device: Where they run.

    Yields:
        Ours, then the plain one.

    Raises:
        ValueError: If ``steps`` is below 1, the config trains nothing or something
            else, or the losses of the first steps differ by more than rounding.
    """
    if steps < 1:
        raise ValueError(f'At least 1 step must be timed, got {steps}.')
    with quiet():
        ours = TimedTrainee(cfg, device)
        head = ours.model.head
        if not isinstance(head, BASHead) or not isinstance(head.loss_module, AMCLoss):
            raise ValueError(
                f'{cfg.filename} trains {type(head).__name__}, and the plain step is '
                'of BASHead with AMCLoss: give a config of BAS, such as '
                'bas_efficientnet-lite0_toy.'
            )
        plain = PlainTrainee(cfg, device)
    plain.batch = ours.batch
    plain.model.load_state_dict(ours.model.state_dict())
    flops = [count_flops(one.step) for one in (ours, plain)]
    times = np.array(
        [[one.step() for one in (ours, plain)] for _ in range(WARM_UP - 1 + steps)]
    )
    first = ours.losses[0], plain.losses[0]
    if not np.isclose(*first, rtol=1e-3):
        raise ValueError(
            f'The first step has loss {first[0]:g} and the plain one {first[1]:g}: '
            'they do not compute the same.'
        )
    rates = best_rates(device, ours.batch_size)
    for one, count, seconds in zip((ours, plain), flops, times[-steps:].T):
        parts = np.array(one.parts[WARM_UP:]).sum(0)
        forward, backward, optimizer = map(float, parts / parts.sum())
        step = float(np.median(seconds))
        yield StepTime(
            name=one.name,
            step=step,
            forward=forward,
            backward=backward,
            optimizer=optimizer,
            memory=one.memory(),
            batch_size=one.batch_size,
            loss=one.losses[0],
            flops=count.total,
            floor=count.seconds(rates) / step,
        )
