"""Which images of a folder are held out for the test."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping


def hash_share(text: str) -> float:
    """Give the MD5 hash of a text as a number from 0 to 1.

    Example:
        >>> round(hash_share('cat/a.jpg'), 3)
        0.993
    """
    return int.from_bytes(hashlib.md5(text.encode()).digest(), 'big') / 2**128


def hold_out(labels: Mapping[str, int], share: float, seed: int) -> set[str]:
    """Choose images to hold out, the same share of each class.

    Of a class of n images, ``share * n`` (rounded, at least 1, at most n - 1)
    with the lowest hashes of seed and name.

    Args:
        labels: The class of each image, by name.
        share: Above 0 and below 1.
        seed: Any number.

    Returns:
        The names.

    Example:
        >>> labels = dict.fromkeys('abcde', 0) | dict.fromkeys('xy', 1) | {'z': 2}
        >>> held = hold_out(labels, 0.2, seed=0)
        >>> len(held), len(held & set('abcde')), 'z' in held
        (2, 1, False)
    """
    classes = defaultdict(list)
    for name, label in labels.items():
        classes[label].append(name)
    held: set[str] = set()
    for names in classes.values():
        num = min(max(round(share * len(names)), 1), len(names) - 1)
        held.update(sorted(names, key=lambda name: hash_share(f'{seed}/{name}'))[:num])
    return held
