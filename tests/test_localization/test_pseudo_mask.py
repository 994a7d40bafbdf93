import numpy as np
import pytest

from bas_mm.localization import gaussian_prior, pseudo_mask


def blob(x, y, sx, sy, size=256):
    xs, ys = np.meshgrid(np.arange(size), np.arange(size))
    return np.exp(-(((xs - x) / sx) ** 2) / 2 - ((ys - y) / sy) ** 2 / 2)


def test_the_prior_is_a_narrow_gaussian_over_the_part():
    """A full rectangle of 0.3: its mean and a tenth of its variance are known."""
    array = np.zeros((256, 256), np.float32)
    array[100:160, 40:100] = 0.3
    prior = gaussian_prior(array)
    assert np.unravel_index(prior.argmax(), prior.shape) in [
        (129, 69), (129, 70), (130, 69), (130, 70),
    ]  # fmt: skip
    # variance of 60 places in a row: (60^2 - 1) / 12
    sigma = np.sqrt((60**2 - 1) / 12 / 10)
    expected = blob(69.5, 129.5, sigma, sigma)
    np.testing.assert_allclose(prior, expected, atol=0.01)


def test_small_and_sure_parts_have_no_prior():
    array = np.zeros((64, 64), np.float32)
    array[2:5, 2:5] = 0.3  # under 20 pixels
    array[20:60, 20:60] = 0.9  # surely the object
    assert not gaussian_prior(array).any()


def test_two_parts_have_a_peak_each():
    array = np.zeros((256, 256), np.float32)
    array[20:60, 20:60] = array[150:200, 150:200] = 0.4
    prior = gaussian_prior(array)
    assert prior[40, 40] > 0.98 and prior[175, 175] > 0.98 and prior[110, 110] < 0.01


def test_sure_places_are_labeled_and_others_left_open():
    array = blob(128, 128, 40, 25)
    mask = pseudo_mask(7 * array, (128, 256))
    assert mask.shape == (128, 256) and mask.dtype == np.uint8
    assert {*np.unique(mask)} == {0, 1, 255}
    small = array[::2]
    assert (mask[small > 0.3] == 1).all()
    assert (mask[small < 0.005] == 0).all()
    between = (small > 0.02) & (small < 0.2)
    assert (mask[between] != 0).all() and (mask[between] == 255).any()


@pytest.mark.parametrize(
    'loc_map', [np.zeros((4, 4)), np.full((4, 4), np.nan), np.zeros((0, 3)), -np.eye(3)]
)
def test_a_map_that_says_nothing_labels_nothing(loc_map):
    assert (pseudo_mask(loc_map, (5, 6)) == 255).all()


def test_a_full_map_is_all_object():
    assert (pseudo_mask(np.ones((4, 4)), (5, 6)) == 1).all()
