"""What a method costs: parameters, time and memory of a training step."""

import copy
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpretrain.registry import MODELS
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bas_mm.engine.merged_steps import merge_by_default
from bas_mm.engine.summary_hook import config_hash
from bas_mm.evaluation.bootstrap import quiet
from bas_mm.utils.configs import pseudo_readers
from bas_mm.utils.files import write_atomic

MIB = 2**20
#: Steps before the clock runs: they fill caches and the optimizer's state.
WARM_UP = 2


class Cost(NamedTuple):
    """What a method costs.

    Attributes:
        parameters: Of the model that is trained, frozen ones too.
        deployed: Those of them that a test reads.
        step_ms: Median time of a training step, in milliseconds, without the
            loading of its images.
        memory: Peak of a training step, in MiB: weights, gradients, state of
            the optimizer and all that the step computes; None where it cannot
            be measured.
        batch_size: Images in the step.
        device: Where it ran.
    """

    parameters: int
    deployed: int
    step_ms: float
    memory: float | None
    batch_size: int
    device: str


#: Of methods by their names: the cost, and that of the one it is compared with.
Costs = Mapping[str, tuple[Cost, Cost]]


class Trainee:
    """The model of a config, its optimizer, and one batch to train on.

    The weights are random, and whole images stand in for pseudo labels that are
    not made yet: neither changes a figure of the cost.

    Args:
        cfg: The config.
        device: Where it is trained.

    Raises:
        ValueError: If the config has no training.
    """

    def __init__(self, cfg: Config, device: torch.device) -> None:
        if not cfg.get('train_dataloader') or not cfg.get('optim_wrapper'):
            raise ValueError(f'{cfg.filename or "The config"} trains nothing.')
        init_default_scope(cfg.get('default_scope', 'mmpretrain'))
        self.device = device
        self.model = MODELS.build(cfg.model).to(device)
        self.optim = build_optim_wrapper(
            self.model, merge_by_default(cfg.optim_wrapper)
        )
        loader = copy.deepcopy(dict(cfg.train_dataloader))
        loader.pop('prefetch_factor', None)
        loader.update(num_workers=0, persistent_workers=False)
        with TemporaryDirectory() as folder:
            stand_in(loader, Path(folder))
            self.batch = next(iter(Runner.build_dataloader(loader, seed=0)))
        #: Every term of a loss is there in the last epoch.
        self.epoch = (cfg.get('train_cfg') or {}).get('max_epochs', 1) - 1

    def step(self) -> float:
        """Train a step, and give its time in seconds."""
        batch = copy.deepcopy(self.batch)  # an augmentation may write into it
        self.model.train()
        with at_epoch(self.epoch):
            self._wait()
            start = time.perf_counter()
            self.model.train_step(batch, self.optim)
            self._wait()
            return time.perf_counter() - start

    def _wait(self) -> None:
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)

    def memory(self) -> float | None:
        """Give the peak of a step, after at least one other step, in MiB."""
        peak = peak_on(self.device, self.step)
        return None if peak is None else (self._held() + peak) / MIB

    def _held(self) -> int:
        """Give the bytes of weights, buffers and the optimizer's state."""
        tensors: list[Any] = [*self.model.parameters(), *self.model.buffers()]
        for state in self.optim.optimizer.state.values():
            tensors += state.values()
        return count_bytes(tensors, self.device)

    @torch.no_grad()
    def count_deployed(self) -> int:
        """Count the parameters that a test of the batch reads."""
        self.model.eval()
        data = self.model.data_preprocessor(copy.deepcopy(self.batch), False)
        with _Reads() as reads:
            self.model.predict(data['inputs'], data['data_samples'])
        return sum(
            one.numel()
            for one in self.model.parameters()
            if one.untyped_storage().data_ptr() in reads.storages
        )

    @property
    def batch_size(self) -> int:
        """Images in a step."""
        return len(self.batch['inputs'])


def stand_in(loader: Mapping[str, Any], folder: Path) -> None:
    """Let whole images be the pseudo labels that are not made yet, in place.

    Args:
        loader: Settings of a data loader.
        folder: An empty folder, which must be there as long as images are read.
    """
    boxes = folder / 'boxes.json'
    for reader, key in pseudo_readers(loader):
        made = reader.get('file')
        if not made or not Path(made).exists():
            boxes.write_text('{"images": [], "annotations": []}')
            empty = folder if key == 'pseudo_mask' else boxes
            reader.update(file=str(empty), missing='whole')


class _Reads(TorchDispatchMode):
    """Notes the memory of every tensor that an operation reads."""

    def __init__(self) -> None:
        super().__init__()
        self.storages: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        for one in tree_leaves((args, kwargs or {})):
            if isinstance(one, torch.Tensor):
                self.storages.add(one.untyped_storage().data_ptr())
        return func(*args, **(kwargs or {}))


@contextmanager
def at_epoch(epoch: int) -> Iterator[None]:
    """Let losses believe that it is this epoch."""
    hub = MessageHub.get_current_instance()
    before = hub.runtime_info.get('epoch', 0)
    hub.update_info('epoch', epoch)
    try:
        yield
    finally:
        hub.update_info('epoch', before)


def peak_allocated(work: Callable[[], Any]) -> int:
    """Give the most bytes that work has of torch's CPU allocator at once.

    What was allocated before does not count, nor does scratch memory that
    libraries below torch allocate by themselves.

    Args:
        work: What is called.

    Example:
        >>> ones = torch.ones(256)  # 1 KiB
        >>> 2048 <= peak_allocated(lambda: (ones + 1) + 1) < 4096
        True
    """
    # what the profiler tells of itself; read when the first one starts
    os.environ.setdefault('KINETO_LOG_LEVEL', '99')
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        work()
    with TemporaryDirectory() as folder:
        path = Path(folder, 'trace.json')
        found.export_chrome_trace(str(path))
        events = json.loads(path.read_text())['traceEvents']
    changes = sorted(
        (event['ts'], event['args']['Bytes'])
        for event in events
        if event.get('name') == '[memory]' and event['args']['Device Type'] == 0
    )
    sizes = np.cumsum([0, *(size for _, size in changes)])
    return int(sizes.max())


def peak_on(device: torch.device, work: Callable[[], Any]) -> int | None:
    """Give the most bytes that work has at once, beyond what there was before.

    Args:
        device: Where it works.
        work: What is called, where it can be measured.

    Returns:
        The bytes; None where nothing tells them.

    Example:
        >>> peak_on(torch.device('meta'), lambda: 1) is None
        True
    """
    if device.type == 'cpu':
        return peak_allocated(work)
    if device.type != 'cuda':
        return None
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    work()
    return torch.cuda.max_memory_allocated(device) - before


def count_bytes(tensors: Iterable[Any], device: torch.device) -> int:
    """Count the memory of tensors on a device, what they share once.

    Args:
        tensors: Anything else among them is passed over.
        device: Of what is counted.

    Example:
        >>> one = torch.zeros(2, 3)
        >>> count_bytes([one, one[0], 'one'], one.device)
        24
    """
    storages = {
        one.untyped_storage().data_ptr(): one.untyped_storage().nbytes()
        for one in tensors
        if isinstance(one, torch.Tensor) and one.device.type == device.type
    }
    return sum(storages.values())


def measure_cost(
    cfg: Config, beside: Config, steps: int, device: torch.device
) -> tuple[Cost, Cost]:
    """Measure a method, and another one in the same minutes.

    The steps of the two alternate: what else the machine does slows both.

    Args:
        cfg: The method.
        beside: What it is compared with; may be the same config.
        steps: Timed steps of each.
        device: Where they run.

    Returns:
        The cost of the method, and that of the other one.

    Raises:
        ValueError: If one of them trains nothing, or ``steps`` is below 1.
    """
    if steps < 1:
        raise ValueError(f'At least 1 step must be timed, got {steps}.')
    configs = [cfg] if cfg is beside else [cfg, beside]
    with quiet():  # a line for each parameter that has a rate of its own
        trainees = [Trainee(one, device) for one in configs]
    deployed = [one.count_deployed() for one in trainees]
    times: list[list[float]] = []
    for _ in range(WARM_UP + steps):
        times.append([one.step() for one in trainees])
    step_ms = 1000 * np.median(times[WARM_UP:], axis=0)
    costs = [
        Cost(
            parameters=sum(p.numel() for p in one.model.parameters()),
            deployed=count,
            step_ms=float(ms),
            memory=one.memory(),
            batch_size=one.batch_size,
            device=str(device),
        )
        for one, count, ms in zip(trainees, deployed, step_ms)
    ]
    return costs[0], costs[-1]


def measure_costs(
    cfgs: Mapping[str, Config],
    beside: str,
    steps: int,
    device: torch.device,
    path: Path,
) -> tuple[Costs, list[str]]:
    """Measure methods, each once: what was measured is kept in a file.

    Args:
        cfgs: Their configs.
        beside: The one that all are compared with.
        steps: Timed steps of each.
        device: Where they run.
        path: The file; what is in it of other configs is measured anew.

    Returns:
        The costs; and a sentence on each method that has none.
    """
    kept = json.loads(path.read_text(encoding='utf-8')) if path.is_file() else {}
    costs: dict[str, tuple[Cost, Cost]] = {}
    faults = []
    for name, cfg in cfgs.items():
        hashes = [config_hash(one) for one in (cfg, cfgs[beside])]
        key = [*hashes, steps, str(device)]
        if kept.get(name, {}).get('key') != key:
            print(f'Cost of {name}', flush=True)
            try:
                found = measure_cost(cfg, cfgs[beside], steps, device)
            except (ValueError, RuntimeError) as error:
                faults.append(f'The cost of {name} was not measured: {error}')
                continue
            kept[name] = dict(key=key, costs=found)
            write_atomic(path, f'{json.dumps(kept, indent=1)}\n'.encode())
        ours, other = kept[name]['costs']
        costs[name] = (Cost(*ours), Cost(*other))
    return costs, faults
