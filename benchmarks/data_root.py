"""Where MNIST is, for the peers that read it themselves."""

from rnnexp.data.idx import ensure


def data_root() -> str:
    """Returns the folder of MNIST as torchvision lays it out, unpacked if need be."""
    return str(ensure("mnist"))
