"""Which devices are fast at bfloat16."""

import pytest
import torch

from bas_mm.utils.devices import has_bf16


@pytest.mark.parametrize(
    'found, expected',
    [
        (dict(avx512_bf16=True, amx_bf16=False), True),
        (dict(amx_bf16=True), True),
        (dict(avx512_f=True, avx512_bf16=False), False),
        ({}, False),
    ],
)
def test_a_cpu_says_so(monkeypatch, found, expected):
    monkeypatch.setattr(torch.cpu, 'get_capabilities', lambda: found, raising=False)
    assert has_bf16(torch.device('cpu')) is expected


def test_a_cpu_of_which_nothing_is_known(monkeypatch):
    monkeypatch.delattr(torch.cpu, 'get_capabilities', raising=False)
    assert has_bf16(torch.device('cpu')) is False
