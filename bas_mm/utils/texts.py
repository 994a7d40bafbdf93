"""Words for messages."""


def plural(count: int, noun: str) -> str:
    """Count things, one or several.

    Args:
        count: How many.
        noun: What one of them is called; several get an ``s``.

    Example:
        >>> plural(1, 'image'), plural(0, 'image')
        ('1 image', '0 images')
    """
    return f'{count} {noun}' if count == 1 else f'{count} {noun}s'
