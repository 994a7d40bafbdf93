import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bas_mm import localization as loc

#: Maps without any contrast, or with values that are no numbers.
NO_CONTRAST = [
    np.zeros((3, 3)),
    np.full((3, 3), 7.0),
    np.zeros((0, 3)),
    np.array([[0, np.nan], [1, 2]]),
    np.array([[0, np.inf], [1, 2]]),
    np.full((2, 2), np.nan),
    torch.full((4, 4), 0.3).half(),
    np.full((2, 2), 3, np.uint8),
]


@pytest.mark.parametrize('resize', ['bilinear', 'bicubic'])
def test_resize_map_equals_interpolate(resize):
    rng = np.random.default_rng(0)
    for low, high in [
        ((7, 9), (30, 20)),
        ((14, 14), (224, 224)),
        ((20, 30), (7, 8)),
        ((1, 5), (4, 4)),
    ]:
        m = rng.random(low).astype(np.float32)
        expected = F.interpolate(
            torch.tensor(m)[None, None], high, mode=resize, align_corners=False
        )[0, 0].numpy()
        np.testing.assert_allclose(loc.resize_map(m, high, resize), expected, atol=1e-5)


def test_resize_map_of_the_same_size_and_of_nothing():
    m = np.random.default_rng(0).random((3, 5))
    assert loc.resize_map(m, (3, 5)) is m
    empty = loc.resize_map(np.zeros((0, 4), np.float32), (2, 3))
    assert empty.shape == (2, 3) and empty.dtype == np.float32 and not empty.any()


def test_normalize_map():
    m = np.array([[-1, 3], [1, 0]], np.float32)
    result = loc.normalize_map(m)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, [[0, 1], [0.5, 0.25]])
    assert loc.normalize_map(torch.tensor(m).half()).dtype == np.float32
    assert loc.normalize_map(np.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize('pred_map', NO_CONTRAST)
def test_no_contrast_gives_zeros(pred_map):
    assert not loc.normalize_map(pred_map).any()
    for function in (loc.view_map, loc.scale_map, loc.quantize_map):
        result = function(pred_map, (5, 7))
        assert result.shape == (5, 7) and not result.any()


def test_view_and_scaled_maps_differ_in_the_order_of_the_steps():
    m = np.random.default_rng(0).random((4, 4)).astype(np.float32)
    normalized = (m - m.min()) / (m - m.min()).max()
    np.testing.assert_array_equal(
        loc.view_map(m, (9, 9)), cv2.resize(normalized, (9, 9))
    )
    for resize, flag in (('bilinear', cv2.INTER_LINEAR), ('bicubic', cv2.INTER_CUBIC)):
        big = cv2.resize(m, (9, 9), interpolation=flag)
        big -= big.min()
        scaled = loc.scale_map(m, (9, 9), resize)
        np.testing.assert_array_equal(scaled, big / big.max())


def test_quantize_map():
    levels = np.arange(256.0).reshape(16, 16)
    assert (loc.quantize_map(levels * 3 - 5, (16, 16)) == levels).all()
    # All 256 levels are reached, whatever the resolution.
    rng = np.random.default_rng(0)
    for resize in ('bilinear', 'bicubic'):
        found = loc.quantize_map(rng.random((4, 4)), (30, 30), resize)
        assert (found.min(), found.max()) == (0, 255)


@pytest.mark.parametrize('shape', [(1, 1), (1, 7), (7, 1), (7, 7)])
def test_a_constant_map_stays_constant(shape):
    for value in np.random.default_rng(0).random(40, np.float32):
        pred_map = np.full(shape, value)
        for resize in ('bilinear', 'bicubic'):
            assert not loc.scale_map(pred_map, (224, 224), resize).any()
            assert not loc.quantize_map(pred_map, (224, 224), resize).any()


def test_otsu_parts_the_levels_with_the_least_variance_within():
    rng = np.random.default_rng(0)
    for low, high in ((0.2, 0.7), (0.1, 0.4), (0.5, 0.9)):
        values = np.append(rng.normal(low, 0.06, 900), rng.normal(high, 0.08, 400))
        values = values.clip(0, 1).reshape(13, 100)
        levels = np.round(255 * values)
        first = int(levels.min())
        within = [
            sum(part.size * part.var() for part in (levels[above], levels[~above]))
            for above in (levels > t for t in range(first, int(levels.max())))
        ]
        cut = loc.cut_of(values, 'otsu')
        assert low < cut < high
        # of equal ones any: the levels of a gap give the same two groups
        assert within[round(cut * 255 - 0.5) - first] == pytest.approx(min(within))
        assert max(within) > 1.5 * min(within)


def test_cut_of_numbers():
    values = np.random.default_rng(0).random((6, 7))
    assert loc.cut_of(values, 0.3) == 0.3
    low = np.sort(values.ravel())
    assert loc.cut_of(values, 0.5, percentile=100) == 0.5 * low[-1]
    # 42 values: the 50th percentile is halfway between the middle two.
    assert loc.cut_of(values, 1, percentile=50) == pytest.approx(low[20:22].mean())


@pytest.mark.parametrize(
    'call, message',
    [
        (lambda: loc.as_size((0, 5), 'size'), r'size=\(0, 5\).*above 0'),
        (lambda: loc.as_size((5,), 'size'), r'size=\(5,\) is not \(h, w\)'),
        (
            lambda: loc.normalize_map(np.zeros((1, 3, 3))),
            r'pred_map has the shape \(1, 3, 3\); one map of shape \(h, w\)',
        ),
        (lambda: loc.get_compare('<'), r"compare='<'.*one of \['>', '>='\]"),
        (lambda: loc.get_compare('=', 'map_compare'), "map_compare='='"),
        (
            lambda: loc.resize_map(np.eye(2), (4, 4), 'nearest'),
            r"resize='nearest'.*one of \['bicubic', 'bilinear'\]",
        ),
        (lambda: loc.check_resize('cubic'), "resize='cubic'.*set resize to"),
        (
            lambda: loc.check_threshold(1.5),
            "`threshold` must be.*or 'otsu' or 'auto'; got 1.5",
        ),
        (lambda: loc.check_threshold('best', option='cut'), "`cut` must.*got 'best'"),
        (lambda: loc.check_threshold(0.5, 0), '`percentile` must be above 0.*got 0'),
        (lambda: loc.check_threshold('otsu', 50), "got 50 beside 'otsu'"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
