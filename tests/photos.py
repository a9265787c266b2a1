"""Digits drawn by hand, as photographed: fifty images of five kinds that are hard to take apart."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIZE = 320  # pixels, of a photo's side
# The strokes of each digit as a hand drew them, x to the right and y down, in a box of 100 x 100.
STROKES = {
    0: [[(58, 8), (38, 12), (24, 32), (22, 58), (32, 84), (50, 93), (68, 86), (78, 62), (76, 34), (66, 14), (54, 8)]],
    1: [[(40, 24), (55, 8), (53, 50), (50, 92)]],
    2: [[(26, 28), (34, 12), (54, 7), (70, 18), (70, 36), (56, 56), (36, 76), (24, 90), (48, 88), (78, 91)]],
    3: [
        [
            (28, 16),
            (46, 7),
            (66, 12),
            (70, 28),
            (58, 42),
            (44, 46),
            (62, 50),
            (74, 64),
            (70, 82),
            (52, 93),
            (34, 90),
            (24, 80),
        ]
    ],
    4: [[(36, 10), (30, 34), (24, 56), (48, 55), (80, 53)], [(64, 30), (62, 60), (58, 94)]],
    5: [[(70, 10), (38, 12), (34, 42), (52, 38), (70, 48), (74, 68), (62, 88), (42, 92), (26, 84)]],
    6: [[(62, 6), (44, 26), (30, 52), (28, 74), (40, 91), (58, 91), (70, 78), (66, 62), (50, 56), (36, 64), (30, 76)]],
    7: [[(24, 16), (48, 14), (76, 11), (64, 40), (52, 66), (44, 94)]],
    8: [
        [
            (66, 18),
            (50, 8),
            (34, 16),
            (36, 34),
            (54, 48),
            (68, 64),
            (66, 84),
            (50, 93),
            (34, 84),
            (34, 66),
            (50, 48),
            (66, 32),
            (66, 18),
        ]
    ],
    9: [[(68, 24), (54, 10), (38, 16), (34, 34), (44, 48), (60, 44), (68, 26), (68, 50), (64, 74), (58, 94)]],
}


def drawn(digit, draw, width, shape=(SIZE, SIZE)):
    """Returns how much of each pixel the pen has covered, from 0 to 1, float of shape (H, W)."""
    height, length = shape
    scale = 0.5 * min(shape) / 100
    turn, slant = draw.uniform(-0.08, 0.08), draw.uniform(-0.1, 0.15)
    left, top = draw.uniform(0.42, 0.58) * length, draw.uniform(0.42, 0.58) * height
    sharp = Image.new("L", (2 * length, 2 * height))
    pen = ImageDraw.Draw(sharp)
    for stroke in STROKES[digit]:
        points = []
        for x, y in smooth(stroke):
            x, y = (x - 50) * scale, (y - 50) * scale
            x, y = x - slant * y + turn * y, y - turn * x
            points.append((2 * (left + x), 2 * (top + y)))
        for x, y in points:
            radius = width * draw.uniform(0.9, 1.1)
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return np.asarray(sharp.resize((length, height), Image.Resampling.BOX), dtype=np.float64) / 255


def smooth(stroke):
    """Yields points along a Catmull-Rom curve, closer to one another than a pen is wide."""
    padded = np.array([stroke[0], *stroke, stroke[-1]], dtype=float)
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        for t in np.linspace(0, 1, 60, endpoint=False):
            yield 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)


def paper(draw, level=225):
    """Returns a sheet with the slope of the light and its grain."""
    slope = np.linspace(0, draw.uniform(-15, 15), SIZE)
    return level + slope[:, None] + draw.uniform(-10, 10) * np.linspace(0, 1, SIZE) + draw.normal(0, 2, (SIZE, SIZE))


def shadow(draw, depth):
    """Returns the factor of the light under a hard shadow, which lies across the digit."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    angle = draw.uniform(0, 2 * np.pi)
    side = (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle) + draw.uniform(-0.1, 0.1)
    return 1 - depth / (1 + np.exp(-side * 60))


def inked(sheet, cover, ink):
    return sheet * (1 - cover) + ink * cover


def specks(digit, draw):
    sheet = inked(paper(draw), drawn(digit, draw, 9), 50)
    for top, left in ((6, 8), (SIZE - 22, SIZE - 20)):
        sheet[top : top + 12, left : left + 10] = 40
    return sheet


def ruled(digit, draw):
    sheet, y = paper(draw), draw.uniform(15, 35)
    tilt = draw.uniform(-0.02, 0.02) * np.arange(SIZE)
    while y < SIZE:
        for x, row in enumerate((y + tilt).round().astype(int)):
            if 0 <= row < SIZE - 1:
                sheet[row : row + 2, x] = 150
        y += 36
    return inked(sheet, drawn(digit, draw, 7), 60)


def on_desk(digit, draw):
    desk = 55 + draw.normal(0, 4, (SIZE, SIZE))
    sheet = Image.fromarray(inked(paper(draw), drawn(digit, draw, 7), 60))
    angle, side = draw.uniform(-12, 12), int(SIZE * 0.72)
    small = np.asarray(sheet.resize((side, side)).rotate(angle, expand=True, fillcolor=-1), dtype=np.float64)
    top, left = draw.integers(0, SIZE - small.shape[0] + 1), draw.integers(0, SIZE - small.shape[1] + 1)
    place = desk[top : top + small.shape[0], left : left + small.shape[1]]
    place[small > 0] = small[small > 0]
    return desk


def hard_shadow(digit, draw):
    return inked(paper(draw), drawn(digit, draw, 8), 50) * shadow(draw, 0.5)


def thin_pen(digit, draw):
    return inked(paper(draw), 0.8 * drawn(digit, draw, 2.2), 70) * shadow(draw, 0.3)


KINDS = {"specks": specks, "ruled": ruled, "desk": on_desk, "shadow": hard_shadow, "thin": thin_pen}


def photo(kind, digit):
    """Returns a photo, the same each time."""
    draw = np.random.default_rng([list(KINDS).index(kind), digit])
    image = Image.fromarray(KINDS[kind](digit, draw).clip(0, 255).astype(np.uint8))
    return image.filter(ImageFilter.GaussianBlur(0.8))


def sheet_of_all():
    """Returns all fifty in one image, a row for each kind, to be looked at."""
    whole = Image.new("L", (10 * SIZE, len(KINDS) * SIZE))
    for row, kind in enumerate(KINDS):
        for digit in range(10):
            whole.paste(photo(kind, digit), (digit * SIZE, row * SIZE))
    return whole
