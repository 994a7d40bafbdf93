"""Watches the modules of a backbone while it runs once on a tiny view."""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn


def tiny_view(backbone: nn.Module, side: int = 64) -> torch.Tensor:
    """Draw a small view that a backbone can take, ``(1, C, s, s)``.

    The same for every call; no random number is drawn.

    Args:
        backbone: Its ``img_size`` is used if it has one.
        side: Size where it has none.
    """
    conv = next((m for m in backbone.modules() if isinstance(m, nn.Conv2d)), None)
    channels = 3 if conv is None else conv.in_channels
    size = getattr(backbone, 'img_size', None) or side
    h, w = size if isinstance(size, (list, tuple)) else (size, size)
    weight = next(backbone.parameters(), torch.zeros(()))
    points = torch.arange(channels * h * w, dtype=torch.float32)
    view = (points * 0.7).sin().view(1, channels, h, w)
    return view.to(weight.device, weight.dtype)


def watch_once(
    backbone: nn.Module, forward: Callable[[torch.Tensor], Any] | None = None
) -> tuple[torch.Tensor, Any, 'Watch']:
    """Watch a backbone while it runs on a tiny view.

    Args:
        backbone: In eval mode.
        forward: What runs its modules, if it is not the backbone itself.

    Returns:
        The view, what came out, and what was seen.

    Raises:
        ValueError: If the backbone does not run.
    """
    for side in (64, 224):  # some need the size that they were made for
        view, watch = tiny_view(backbone, side), Watch(backbone)
        try:
            return view, watch.run(view, forward), watch
        except Exception as error:  # whatever a foreign forward can raise
            failure = error
    raise ValueError(
        f'{type(backbone).__name__} does not run on a view of the shape '
        f'{tuple(view.shape)}: {type(failure).__name__}: {failure}'
    ) from failure


class Call(NamedTuple):
    """One call of a module while a backbone ran.

    Attributes:
        name: Of the module.
        began, ended: When, on a clock of beginnings and ends.
        took, gave: Key of its only argument and of its output; None for anything
            but a tensor.
        args: What it was called with.
    """

    name: str
    began: int
    ended: int
    took: tuple[int, int] | None
    gave: tuple[int, int] | None
    args: tuple[Any, ...]


class Watch:
    """Watches the modules of a backbone while it runs once.

    A tensor is known by its identity and version: an operation that changes
    it in place outside of the modules makes another one of it.

    Args:
        backbone: What is watched.

    Attributes:
        calls: Of its modules, in the order in which they end.
    """

    def __init__(self, backbone: nn.Module) -> None:
        self.backbone = backbone
        self.calls: list[Call] = []
        self._open: list[tuple[str, int, tuple[int, int] | None]] = []
        self._kept: list[torch.Tensor] = []  # so that identities stay unique
        self._clock = itertools.count()

    def key(self, value: Any) -> tuple[int, int] | None:
        """Give what a tensor is known by; None for anything else."""
        if not isinstance(value, torch.Tensor):
            return None
        self._kept.append(value)
        return id(value), value._version

    def run(
        self, view: torch.Tensor, forward: Callable[[torch.Tensor], Any] | None = None
    ) -> Any:
        """Run the backbone, or what runs its modules."""
        handles = []
        for name, module in self.backbone.named_modules():
            if name:
                enter = functools.partial(self._enter, name)
                handles += [
                    module.register_forward_pre_hook(enter, with_kwargs=True),
                    module.register_forward_hook(self._leave),
                ]
        try:
            return (forward or self.backbone)(view)
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, name: str, module: nn.Module, args: Any, kwargs: Any) -> None:
        took = self.key(args[0]) if len(args) == 1 and not kwargs else None
        self._open.append((name, next(self._clock), took))

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        name, began, took = self._open.pop()
        gave = self.key(output)
        self.calls.append(Call(name, began, next(self._clock), took, gave, args))

    def input_of(self, name: str) -> Any:
        """Give what the first call of a module took."""
        found = [call.args for call in self.calls if call.name == name]
        if not found:
            ran = sorted(self.calls, key=lambda call: call.began)
            names = ', '.join(c.name for c in ran if c.name.count('.') < 2)
            raise ValueError(
                f'SplitNeck: end={name!r} is not a layer that '
                f'{type(self.backbone).__name__} runs. Set `model.neck.end` to one '
                f'of its layers: {names}'
            )
        return found[0][0] if found[0] else None

    def chain(
        self, target: torch.Tensor, view: torch.Tensor
    ) -> tuple[list[str], dict[str, list[str]]]:
        """Give the layers from the view to the target, and those inside them.

        Raises:
            ValueError: If there is no chain of them.
        """
        inner: dict[str, list[str]] = {}

        def look_inside(calls: Sequence[Call]) -> None:
            for call in calls:
                below, whole = self._path(call.gave, call.took, call.began, call.ended)
                if whole and len(below) > (below[0].name == call.name):
                    inner.setdefault(call.name, [c.name for c in below])
                    look_inside(below)

        calls, whole = self._path(
            self.key(target), (id(view), view._version), -1, next(self._clock)
        )
        if not whole:
            raise ValueError(
                f'{type(self.backbone).__name__} cannot be cut: its output does not '
                'come from its layers one after the other. Followed back from its '
                f'end, they are: {", ".join(c.name for c in calls) or "none"}.'
            )
        look_inside(calls)
        names = [call.name for call in calls]
        while len(names) == 1 and names[0] in inner:  # something that wraps all
            names = inner[names[0]]
        return names, inner

    def _path(
        self,
        target: tuple[int, int] | None,
        source: tuple[int, int] | None,
        began: int,
        ended: int,
    ) -> tuple[list[Call], bool]:
        """Outermost calls within a time that lead to a target, and whether all."""
        calls: list[Call] = []
        while target != source:
            for call in reversed(self.calls):  # of nested calls the outer ends last
                if call.gave == target and began < call.began and call.ended < ended:
                    break
            else:
                return calls[::-1], False
            calls.append(call)
            if call.took is None:
                return calls[::-1], False
            target, ended = call.took, call.began
        return calls[::-1], bool(calls)
