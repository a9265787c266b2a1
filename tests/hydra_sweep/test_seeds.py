"""Random streams are apart from each other, and never change silently."""

from hydra_sweep.seeds import derive


def test_streams_differ_by_seed_name_and_index():
    drawn = [derive(seed, name, i) for seed in range(10) for name in ("init", "batches") for i in range(10)]
    assert len(set(drawn)) == 200
    assert all(0 <= value < 2**63 for value in drawn)


def test_the_digits_of_seed_and_index_do_not_run_together():
    assert derive(1, "init", 23) != derive(12, "init", 3)
    assert derive(0, "init", 1, 23) != derive(0, "init", 12, 3)


def test_a_stream_is_pinned():
    assert derive(0, "batches", 0) == 532975296622891351
