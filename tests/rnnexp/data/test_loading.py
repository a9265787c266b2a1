"""Images become sequences as stated, and are split once."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from hydra_sweep.errors import UserError
from rnnexp.data import idx, loading, splitting
from rnnexp.data.augmentation import jitter
from rnnexp.data.dataset import Dataset
from rnnexp.data.sequences import Normalization, Sequences
from rnnexp.data.splitting import Part, hold_out
from rnnexp.schema.config import JitterConfig

CPU = torch.device("cpu")


def load(cfg, with_test=True):
    """Returns the parts of the dataset that `data` names."""
    return splitting.split(loading.load(cfg, with_test), cfg, CPU, with_test=with_test)


def images_of(part):
    return part.x[part.rows]


def read(cfg, images, generator=None):
    """Returns what a network reads of images."""
    dataset = Dataset.of_images(images.numpy(), np.zeros(len(images), np.int64), classes=["a", "b"])
    part = Part.of(dataset.train, CPU)
    sequences = Sequences(cfg.data, "images", dataset.shape, Normalization.of(cfg.data, part, "images"))
    return sequences(part, torch.arange(len(images)), generator)[0]


@pytest.fixture(scope="module")
def mnist(compose):
    return load(compose().data)


def some_images(count=6):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 28, 28), dtype=torch.uint8, generator=generator)


def test_the_split_is_a_partition_with_every_class_in_its_proportion(mnist):
    assert (len(mnist.train), len(mnist.valid), len(mnist.test)) == (55_000, 5_000, 10_000)
    counts = torch.bincount(torch.cat([mnist.train.labels, mnist.valid.labels]))
    assert counts.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]  # MNIST's own
    exact = counts * 5_000 / 60_000
    assert (torch.bincount(mnist.valid.labels) - exact).abs().max() < 1
    both = torch.cat([images_of(mnist.train), images_of(mnist.valid)]).double().flatten(1)
    assert both.sum() == 1567298545.0  # the sum of all pixels of MNIST's training file: none is missing or doubled


def test_the_split_depends_on_its_own_seed_alone(compose, mnist):
    same = load(compose("seed=7", "optim=adam").data)
    other = load(compose("data.split_seed=1").data)
    assert torch.equal(images_of(same.valid), images_of(mnist.valid))
    assert not torch.equal(other.valid.labels, mnist.valid.labels)


def test_a_limit_leaves_validation_alone_and_keeps_the_proportions(compose, mnist):
    few = load(compose("data.limit=1000").data)
    assert len(few.train) == 1000
    assert torch.equal(images_of(few.valid), images_of(mnist.valid))
    exact = torch.bincount(mnist.train.labels) * 1000 / 55_000
    assert (torch.bincount(few.train.labels) - exact).abs().max() < 1


def test_the_notebook_trains_on_all_images_and_validates_on_the_test_set(compose):
    dataset = load(compose("experiment=notebook").data)
    assert len(dataset.train) == 60_000
    assert torch.equal(images_of(dataset.valid), images_of(dataset.test))


def test_without_the_test_set_its_files_are_not_read(compose, mnist, tmp_path):
    raw = idx.ensure("mnist") / "MNIST" / "raw"
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    for name, size in idx.SOURCES["mnist"].sizes.items():
        file = tmp_path / "MNIST" / "raw" / name
        if name.startswith("train"):
            file.symlink_to(raw / name)
        else:
            file.write_bytes(b"x" * size)
    cfg = compose(f"data.root={tmp_path}").data
    with pytest.raises(UserError, match="cannot read mnist"):
        load(cfg)
    unseen = load(cfg, with_test=False)
    assert unseen.test is None
    for part, whole in ((unseen.train, mnist.train), (unseen.valid, mnist.valid)):
        assert torch.equal(images_of(part), images_of(whole))
        assert torch.equal(part.labels, whole.labels)


def test_holding_out_keeps_the_old_order_and_gives_largest_remainders_first():
    labels = torch.tensor([0] * 7 + [1] * 5 + [2] * 3)
    left, drawn = hold_out(labels, 4, seed=3)
    assert torch.bincount(labels[drawn]).tolist() == [2, 1, 1]  # of 1.87, 1.33 and 0.8
    for part in (left, drawn):
        assert part.tolist() == sorted(part.tolist())
    assert sorted([*left.tolist(), *drawn.tolist()]) == list(range(15))


def shares(counts, size):
    """Returns each class's share by largest remainder, in exact fractions; of equal remainders the first class's."""
    exact = [Fraction(count * size, sum(counts)) for count in counts]
    quota = [int(e) for e in exact]
    order = sorted(range(len(counts)), key=lambda i: (quota[i] - exact[i], i))
    for i in order[: size - sum(quota)]:
        quota[i] += 1
    return quota


@pytest.mark.parametrize("size", [10, 999, 5_000, 23_367, 26_668, 59_990])  # in float32, two of them come out wrong
def test_every_class_has_its_share_by_largest_remainder(mnist, size):
    everything = torch.cat([mnist.train.labels, mnist.valid.labels])
    left, drawn = hold_out(everything, size, seed=0)
    assert torch.bincount(everything[drawn], minlength=10).tolist() == shares(torch.bincount(everything).tolist(), size)
    assert torch.cat([left, drawn]).sort().values.equal(torch.arange(60_000))  # disjoint, and all


def test_columns_and_rows_and_pixels_are_what_they_say(compose):
    images = some_images()
    scaled = (images.double() / 255 - 0.5) / 0.5
    columns, rows, pixels = (
        read(compose(f"data.sequence={name}"), images).double() for name in ("columns", "rows", "pixels")
    )
    for b, t, i in [(0, 0, 0), (1, 3, 20), (5, 27, 1)]:
        assert columns[b, t, i] == pytest.approx(scaled[b, i, t].item(), abs=1e-6)
        assert rows[b, t, i] == pytest.approx(scaled[b, t, i].item(), abs=1e-6)
        assert pixels[b, 28 * t + i, 0] == pytest.approx(scaled[b, t, i].item(), abs=1e-6)
    assert columns.shape == rows.shape == (6, 28, 28)
    assert pixels.shape == (6, 784, 1)


def test_permuted_follows_the_published_permutation_or_its_seed(compose):
    images = some_images()
    pixels = read(compose("data.sequence=pixels"), images)
    published = np.random.RandomState(92916).permutation(784)
    assert torch.equal(read(compose("data.sequence=permuted"), images), pixels[:, published])
    other = read(compose("data.sequence=permuted", "data.permutation_seed=1"), images)
    assert torch.equal(other, pixels[:, np.random.RandomState(1).permutation(784)])


def test_mean_and_std_are_subtracted_and_divided_by(compose):
    x = read(compose("data.normalize=[0.25,0.125]", "data.sequence=rows"), some_images(1))
    assert x[0, 0, 0].item() == pytest.approx((some_images(1)[0, 0, 0].item() / 255 - 0.25) / 0.125, abs=1e-6)


def drawn(seed=0):
    return torch.Generator().manual_seed(seed)


def blob(row=14, column=14, side=3):
    x_BHW = torch.zeros(1, 28, 28)
    x_BHW[0, row : row + side, column : column + side] = 1
    return x_BHW


def center(x_HW):
    positions = torch.arange(28.0)
    mass = x_HW.sum()
    return (x_HW.sum(1) @ positions / mass).item(), (x_HW.sum(0) @ positions / mass).item()


def test_jitter_within_zero_bounds_changes_nothing():
    x_BHW = some_images().float() / 255
    torch.testing.assert_close(jitter(x_BHW, JitterConfig(0, 0, 0, 0, 0), drawn()), x_BHW, atol=1e-5, rtol=0)


def test_jitter_treats_each_image_alike_on_each_call_and_apart_from_its_neighbors():
    x_BHW = blob().repeat(8, 1, 1)
    bounds = JitterConfig(degrees=10, translate=0.1, scale=0.1, shear=5, elastic=0.05)
    one, again, other = jitter(x_BHW, bounds, drawn()), jitter(x_BHW, bounds, drawn()), jitter(x_BHW, bounds, drawn(1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert len({tuple(image.flatten().tolist()) for image in one}) == 8
    assert one.min() >= 0
    assert one.max() <= 1 + 1e-6


def test_jitter_stays_within_its_bounds():
    x_BHW = blob().repeat(400, 1, 1)
    start = center(x_BHW[0])
    moved = [center(x) for x in jitter(x_BHW, JitterConfig(0, 0.1, 0, 0, 0), drawn())]
    shifts = torch.tensor([[r - start[0], c - start[1]] for r, c in moved])
    assert shifts.abs().max() <= 2.8 + 1e-3  # a tenth of 28 pixels
    assert shifts.abs().max() > 2.6
    assert shifts.mean(0).abs().max() < 0.3
    sizes = jitter(blob(10, 10, 8).repeat(400, 1, 1), JitterConfig(0, 0, 0.2, 0, 0), drawn()).sum((1, 2)).sqrt() / 8
    assert 0.77 < sizes.min() < 0.83
    assert 1.17 < sizes.max() < 1.23


def test_a_translation_moves_by_its_own_draw_in_pixels():
    draws = torch.rand(20, 5, generator=drawn()) * 2 - 1
    moved = jitter(blob().repeat(20, 1, 1), JitterConfig(0, 0.1, 0, 0, 0), drawn())
    start = center(blob()[0])
    for image, u in zip(moved, draws.tolist(), strict=True):
        row, column = center(image)
        assert row - start[0] == pytest.approx(-u[4] * 2.8, abs=1e-3)  # a tenth of 28 pixels; the grid moves, so minus
        assert column - start[1] == pytest.approx(-u[3] * 2.8, abs=1e-3)
        assert image.sum().item() == pytest.approx(9, rel=1e-4)  # nothing is lost


def test_rotation_turns_by_the_stated_angle():
    line = torch.zeros(1, 28, 28)
    line[0, 13:15, 4:24] = 1
    angles = []
    for x_HW in jitter(line.repeat(300, 1, 1), JitterConfig(30, 0, 0, 0, 0), drawn()):
        rows, columns = torch.meshgrid(torch.arange(28.0) - 13.5, torch.arange(28.0) - 13.5, indexing="ij")
        mass = x_HW.sum()
        xx, yy, xy = ((x_HW * a * b).sum() / mass for a, b in ((columns, columns), (rows, rows), (rows, columns)))
        angles.append(torch.rad2deg(torch.atan2(2 * xy, xx - yy) / 2).item())
    assert max(map(abs, angles)) <= 30.5
    assert max(angles) > 27
    assert min(angles) < -27


def test_images_are_jittered_only_when_a_generator_is_given(compose):
    cfg = compose("data.augment=true")
    assert torch.equal(read(cfg, some_images()), read(compose(), some_images()))
    assert not torch.equal(read(cfg, some_images(), drawn()), read(cfg, some_images()))


def test_a_warp_moves_ink_smoothly_and_no_further_than_told():
    dot = torch.zeros(1, 28, 28)
    dot[0, 13, 13] = 1
    moved = jitter(dot.repeat(2000, 1, 1), JitterConfig(0, 0, 0, 0, 0.1), drawn())
    shifts = torch.tensor([center(x) for x in moved if x.sum() > 0.5]) - 13
    assert 2 < shifts.abs().max() < 1.3 * 2.8  # a tenth of 28 pixels, and what the interpolation adds
    assert shifts.mean(0).abs().max() < 0.1
    stripe = torch.zeros(1, 28, 28)
    stripe[0, :, 13:15] = 1
    for image in jitter(stripe.repeat(50, 1, 1), JitterConfig(0, 0, 0, 0, 0.05), drawn())[:, 2:-2]:
        columns = (image * torch.arange(28.0)).sum(1) / image.sum(1)
        assert columns.diff().abs().max() < 1  # still one line
        assert columns.max() - columns.min() > 0.1  # but bent


@pytest.mark.parametrize("channels", [None, 3])
def test_layouts_are_what_they_say_for_gray_and_for_color(compose, channels):
    shape = (6, 4) if channels is None else (6, 4, channels)
    image = np.random.default_rng(0).random((1, *shape)).astype(np.float32)
    data = Dataset.of_images(image, [0], classes=["one"])
    part = Part.of(data.train, torch.device("cpu"))

    def laid_out(*overrides):
        cfg = compose(*overrides).data
        sequences = Sequences(cfg, data.kind, data.shape, Normalization([0.0], [1.0]))
        (x_BTI,) = sequences(part, torch.tensor([0]))
        assert x_BTI.shape[2] == sequences.input_size
        return x_BTI[0].numpy()

    pixels = image[0].reshape(24, channels or 1)
    assert (laid_out("data.sequence=rows") == image[0].reshape(6, -1)).all()
    assert (laid_out("data.sequence=columns") == image[0].swapaxes(0, 1).reshape(4, -1)).all()
    assert (laid_out("data.sequence=pixels") == pixels).all()
    permuted = laid_out("data.sequence=permuted")
    assert sorted(map(tuple, permuted)) == sorted(map(tuple, pixels))
    assert not (permuted == pixels).all()
    patches = laid_out("data.sequence=patches", "data.patch=2")
    expected = [image[0][r : r + 2, c : c + 2].ravel() for r in (0, 2, 4) for c in (0, 2)]
    assert (patches == np.stack(expected)).all()
