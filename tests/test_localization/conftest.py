import pytest

from bas_mm.localization.component_tree import get_compiled, numpy_only


@pytest.fixture(params=['NumPy', 'numba'])
def way(request):
    """Run a test in NumPy, and with the compiled loops."""
    if request.param == 'NumPy':
        with numpy_only():
            yield
    else:
        pytest.importorskip('numba', reason='numba is not installed (the extra `fast`)')
        assert get_compiled()
        yield
