"""What devices are good at."""

from typing import Any

import torch

#: What a CPU says of itself that multiplies bfloat16 without a detour.
_BF16 = ('amx_bf16', 'avx512_bf16')


def has_bf16(device: torch.device) -> bool:
    """Tell whether a device multiplies bfloat16 faster than float32.

    Elsewhere it is emulated, and slower. What a PyTorch that cannot say so runs on
    counts as such a CPU.

    Example:
        >>> has_bf16(torch.device('meta'))
        False
    """
    if device.type == 'cuda':
        return torch.cuda.is_bf16_supported(including_emulation=False)
    found: dict[str, Any] = getattr(torch.cpu, 'get_capabilities', dict)()
    return device.type == 'cpu' and any(found.get(name) for name in _BF16)
