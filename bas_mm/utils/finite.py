"""Numbers that must be finite."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch


def not_finite(values: Sequence[Any]) -> list[int]:
    """Find what holds NaN or infinity.

    Args:
        values: Tensors or arrays of any shapes; those of one shape are looked at
            together, with one transfer from their device.

    Returns:
        The places of those that do.

    Example:
        >>> not_finite([torch.ones(2), torch.tensor([1, float('nan')])])
        [1]
    """
    if not len(values):
        return []
    tensors = [torch.as_tensor(value) for value in values]
    if len({tensor.shape for tensor in tensors}) == 1:
        sound = torch.stack(tensors).isfinite().flatten(1).all(1)
    else:
        sound = torch.stack([tensor.isfinite().all() for tensor in tensors])
    return (~sound).nonzero().flatten().tolist()


def require_finite_weights(state: Mapping[str, Any], name: str) -> None:
    """Refuse weights that are not finite.

    Args:
        state: The state dict.
        name: Where it comes from.

    Raises:
        ValueError: Names the first of them.
    """
    floats = {
        key: value
        for key, value in state.items()
        if isinstance(value, torch.Tensor) and value.is_floating_point()
    }
    keys = [list(floats)[i] for i in not_finite(list(floats.values()))]
    if keys:
        raise ValueError(
            f'{name}: {len(keys)} of {len(state)} weights are not finite '
            f'({", ".join(keys[:3])}{", ..." if len(keys) > 3 else ""}): the training '
            'has diverged. Take an earlier checkpoint, or train again with a lower '
            '`optim_wrapper.optimizer.lr`.'
        )


def require_finite(values: Any, names: Sequence[Any], what: str) -> None:
    """Refuse what a model says of images where it is not finite.

    Args:
        values: Of each image: its scores, or its map.
        names: Of the images.
        what: What the values are, for the error.

    Raises:
        ValueError: Names the first images.

    Example:
        >>> require_finite([torch.zeros(3)], ['a.jpg'], 'scores')
    """
    wrong = not_finite(values)
    if wrong:
        first = ', '.join(str(names[i]) for i in wrong[:3])
        raise ValueError(
            f'The {what} of {first}{", ..." if len(wrong) > 3 else ""} '
            f'{"are" if what.endswith("s") else "is"} not finite (NaN or infinity): '
            'the weights are broken, or the numbers too large for half precision '
            '(leave out --amp). Take an earlier checkpoint.'
        )
