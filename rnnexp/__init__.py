"""Recurrent networks on images read as sequences: train, search, and compare honestly."""

import os

__version__ = "0.1.0"

# torch's OpenMP threads wait for one another by spinning, as it comes until their time slice is over: two processes on
# one machine then stop each other for whole time slices, and a step was seen to take 70 to 1,700 ms instead of 14. A
# thousand turns (some microseconds) cost nothing alone (EXPERIMENTS.md). Read when torch is imported.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
