"""Named random streams: each purpose draws from a stream of its own, so that changing one leaves the others."""

import hashlib


def derive(seed: int, stream: str, *index: int) -> int:
    """Returns the seed, in [0, 2**63), of one stream (`init`, `batches`, `dropout`, `augment`, `split`) at one index.

    It depends on nothing else, so an epoch's order or a step's dropout needs no stored state to be drawn again.
    """
    text = "/".join(map(str, (seed, stream, *index)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
