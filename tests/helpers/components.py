"""Connected components by the definition."""


def flood(mask, seed):
    """Give the 4-connected component of a place of a nested list of bools.

    Grows by one step after the other until nothing changes.
    """
    h, w = len(mask), len(mask[0])
    found = {(seed // w, seed % w)}
    while mask[seed // w][seed % w]:
        more = {
            (y, x)
            for y in range(h)
            for x in range(w)
            if mask[y][x]
            and {(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1), (y, x)} & found
        }
        if more <= found:
            break
        found |= more
    return [[(y, x) in found for x in range(w)] for y in range(h)]
