"""Models in the runner's hands."""

from typing import Any

from mmengine.model import is_model_wrapper


def unwrap(model: Any) -> Any:
    """Give the model inside what wraps it for several processes, if anything."""
    return model.module if is_model_wrapper(model) else model


def count_classes(model: Any) -> int:
    """Tell how many classes a model knows, wrapped or not."""
    model = unwrap(model)
    known = getattr(model, 'num_classes', None)
    return model.head.num_classes if known is None else known
