"""Small data of one's own, for tests that train on it."""

import numpy as np
from PIL import Image

TINY = (
    "model=gru model.hidden_size=8 model.num_layers=1 optim=adam optim.lr=0.02 train.threads=1 train.epochs=3 "
    "train.batch_size=16"
).split()


def gestures(path, count=90, num_classes=3, seed=0):
    """Writes series of unequal lengths and two features, which a small network can tell apart."""
    random = np.random.default_rng(seed)
    lengths, y = random.integers(4, 12, count), np.arange(count) % num_classes
    angles = 2 * np.pi * y / num_classes
    ends = np.stack([np.cos(angles), np.sin(angles)], 1)
    x = [np.linspace(0, 1, n)[:, None] * end + random.normal(0, 0.05, (n, 2)) for n, end in zip(lengths, ends)]  # noqa: B905
    np.savez(path, x=np.concatenate(x).astype(np.float32), y=[f"class {label:02}" for label in y], lengths=lengths)
    return path


def flags(folder, size=8):
    """Writes images of two stripes, upright or lying, in color."""
    for number in range(24):
        image = np.zeros((size, size, 3), np.uint8)
        image[..., number % 3] = 40
        half = (slice(None), slice(0, size // 2)) if number % 2 else (slice(0, size // 2),)
        image[half] = 255 - number
        path = folder / ("upright" if number % 2 else "lying") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return folder
