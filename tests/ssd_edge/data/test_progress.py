"""Progress of parts as progress of a whole."""

from ssd_edge.data.progress import in_parts, unwatched


def test_parts_add_up_at_every_level():
    told: list[tuple[int, int]] = []
    whole = in_parts(lambda done, total: told.append((done, total)), 9)
    for sizes in ((2, 3), (4,)):
        part = in_parts(whole, sum(sizes))
        for size in sizes:
            for done in range(1, size + 1):
                part(done, size)
    assert told == [(done, 9) for done in range(1, 10)]


def test_nobody_needs_to_watch():
    in_parts(unwatched, 3)(3, 3)
