"""What tests of runs share."""

from run_fixtures import compose, one_thread, small  # noqa: F401
