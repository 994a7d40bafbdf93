"""Infos of images as bytes, as a data set keeps them for its workers."""

import pickle
from collections.abc import Iterable, Sequence
from typing import Any, overload

import numpy as np


class PackedInfos(Sequence[dict[str, Any]]):
    """Infos that are bytes until one is asked for.

    A list of infos takes several times the memory, and mmengine's packing of it
    as much again.

    Args:
        data: Shape ``(n,)``, uint8, the infos, pickled, one after the other.
        ends: Shape ``(images,)``, int64, where each ends.

    Example:
        >>> infos = PackedInfos.pack(dict(gt_label=i) for i in range(3))
        >>> len(infos), infos[-1], infos[:2]
        (3, {'gt_label': 2}, [{'gt_label': 0}, {'gt_label': 1}])
    """

    def __init__(self, data: np.ndarray, ends: np.ndarray) -> None:
        self.data, self.ends = data, ends

    @classmethod
    def pack(cls, infos: Iterable[dict[str, Any]]) -> 'PackedInfos':
        """Pack infos as they come."""
        data, ends = bytearray(), []
        for info in infos:
            data += pickle.dumps(info, protocol=4)
            ends.append(len(data))
        return cls(np.frombuffer(data, np.uint8), np.array(ends, np.int64))

    def __len__(self) -> int:
        """Count the infos."""
        return len(self.ends)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...

    def __getitem__(self, index: Any) -> Any:
        """Unpack an info, or a list of some."""
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        at = range(len(self))[index]
        start = self.ends[at - 1] if at else 0
        return pickle.loads(self.data[start : self.ends[at]].tobytes())
