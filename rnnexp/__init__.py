"""Recurrent networks on images read as sequences: train, search, and compare honestly."""

__version__ = "0.1.0"
