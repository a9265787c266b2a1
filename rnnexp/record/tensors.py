"""Files of tensors, written whole and read without running anything that is in them."""

from __future__ import annotations

import io
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from hydra_sweep.files import (
    BROKEN_ZIP,
    atomic,
    check_zip,
)
from rnnexp.record.run_folder import RESUME_HINT

if TYPE_CHECKING:
    import torch


def load_tensors(path: Path, device: torch.device | str) -> dict[str, Any]:
    """Returns a dictionary of tensors and plain values that torch saved; nothing in it can run code.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or holds other things.
    """
    import torch

    try:
        content = io.BytesIO(path.read_bytes())
        check_zip(content, content.getbuffer().nbytes)  # torch packs nothing
        loaded = torch.load(content, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise
    except UnpicklingError as error:  # torch's own text tells people to load it unsafely
        raise ValueError("it is damaged, or holds more than tensors and plain values") from error
    except (*BROKEN_ZIP, OSError, EOFError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(str(error).splitlines()[0] if str(error) else type(error).__name__) from error
    if not isinstance(loaded, dict):
        raise ValueError(f"it holds a {type(loaded).__name__}")
    return loaded


def save_tensors(path: Path, content: dict[str, Any]) -> None:
    """Writes what `load_tensors` reads, in one go: torch itself takes a full disk for a bug of its own.

    Raises:
        UserError: the disk is full or can't be written.
    """
    import torch

    packed = io.BytesIO()
    torch.save(content, packed)
    with atomic(path, RESUME_HINT) as out:
        out.write(packed.getbuffer())
