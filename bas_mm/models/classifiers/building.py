"""What classifiers share beside their base: parts from configs, labels."""

from collections.abc import Sequence
from typing import Any

import torch
from mmpretrain.registry import MODELS as STOCK_MODELS
from mmpretrain.structures import DataSample
from torch import nn


def with_type(data_preprocessor: dict[str, Any] | nn.Module | None) -> Any:
    """Give the config of a data preprocessor its type; a module stays."""
    if isinstance(data_preprocessor, nn.Module):
        return data_preprocessor
    return {'type': 'bas_mm.WSOLDataPreprocessor', **(data_preprocessor or {})}


def build_module(module: Any) -> Any:
    """Build a module from its config; a module stays what it is."""
    return module if isinstance(module, nn.Module) else STOCK_MODELS.build(module)


def gt_labels(data_samples: Sequence[DataSample]) -> torch.Tensor:
    """Give the ground-truth labels of a batch, ``(B,)``."""
    return torch.cat([sample.gt_label for sample in data_samples])
