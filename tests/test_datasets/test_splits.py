from collections import Counter

from bas_mm.datasets.splits import hash_share, hold_out


def test_hashes_spread_evenly():
    shares = [hash_share(str(i)) for i in range(2000)]
    assert 0 <= min(shares) < 0.01 and 0.99 < max(shares) < 1
    assert abs(sum(shares) / 2000 - 0.5) < 0.03


def test_every_class_gives_its_share():
    sizes = {0: 100, 1: 9, 2: 3, 3: 2, 4: 1}
    labels = {f'{c}/{i}': c for c, n in sizes.items() for i in range(n)}
    held = hold_out(labels, 0.2, seed=0)
    assert Counter(labels[name] for name in held) == {0: 20, 1: 2, 2: 1, 3: 1}
    # never a whole class, whatever the share
    held = hold_out(labels, 0.99, seed=0)
    assert Counter(labels[name] for name in held) == {0: 99, 1: 8, 2: 2, 3: 1}


def test_the_seed_alone_chooses():
    labels = {str(i): i % 2 for i in range(60)}
    first = hold_out(labels, 0.2, seed=0)
    backwards = dict(reversed(labels.items()))
    assert hold_out(backwards, 0.2, seed=0) == first
    assert hold_out(labels, 0.2, seed=1) != first
    assert first < hold_out(labels, 0.5, seed=0)
    # of another class nothing changes
    assert {
        x for x in hold_out({**labels, 'new': 2}, 0.2, seed=0) if x != 'new'
    } == first


def test_no_images():
    assert hold_out({}, 0.2, seed=0) == set()
