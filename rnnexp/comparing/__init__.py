"""Architectures, or whatever else, tuned alike and judged on fresh seeds."""
