"""wandb's files: logs in blocks, whose records may be cut into pieces, or torn."""

import random

import pytest

from rnnexp.trackers.wandb_files import BLOCK, FIRST, FULL, HEADER, LAST, MAGIC, MIDDLE, PIECE, records


def written(contents):
    """Returns a file with these records, as LevelDB's format has them."""
    out = bytearray(MAGIC + b"\xe1\xbe\x00")
    for content in contents:
        left, is_first = content, True
        while True:
            room = BLOCK - len(out) % BLOCK
            if room < HEADER:
                out += bytes(room)
                continue
            piece, left = left[: room - HEADER], left[room - HEADER :]
            kind = {(True, True): FULL, (True, False): FIRST, (False, False): MIDDLE, (False, True): LAST}
            out += PIECE.pack(len(piece), kind[is_first, not left]) + piece
            is_first = False
            if not left:
                break
    return bytes(out)


def test_records_come_back_whatever_their_sizes_and_a_torn_end_is_left_out():
    draw = random.Random(0)
    sizes = [
        draw.choice([0, 1, 100, BLOCK - 2 * HEADER - 3, BLOCK, 3 * BLOCK, draw.randrange(BLOCK)]) for _ in range(60)
    ]
    contents = [draw.randbytes(size) for size in sizes]
    file = written(contents)
    assert list(records(file)) == contents
    for cut in draw.sample(range(len(file)), 60):
        found = list(records(file[:cut]))
        assert found == contents[: len(found)]
        assert len(found) < len(contents)


@pytest.mark.parametrize("content", [b"", b":W&", b"another file"])
def test_what_is_no_file_of_wandbs_has_no_records(content):
    assert list(records(content)) == []
