"""What Hydra and the libraries below it say of a configuration, in one line."""

from __future__ import annotations

import re

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

FILE = re.compile(r"^In '(.+?)':(?: \w+ raised while composing config:)? *")
NOISE = re.compile(r"(object_type|reference_type|full_key|Config search path|provider=).*|\w+_schema|")


def one_line(error: Exception) -> str:
    """Returns what Hydra, OmegaConf or YAML say as one line, with the key and the file that it is about in front."""
    lines = [line.strip() for e in (error, error.__cause__) if e for line in str(e).splitlines()]
    keys = [line.removeprefix("full_key: ") for line in lines if line.startswith("full_key: ")]
    files = [match[1] for line in lines if (match := FILE.match(line))]
    texts = [FILE.sub("", line).rstrip(".:") for line in lines]
    said = "; ".join(dict.fromkeys(text for text in texts if not NOISE.fullmatch(text)))
    if not isinstance(error, (HydraException, OmegaConfBaseException, YAMLError, ValueError)):
        said = f"Hydra stumbles over it ({type(error).__name__}: {said:.200})"
    where = " in ".join([*keys[:1], *files[:1]])
    return f"{where}: {said}" if where else said
