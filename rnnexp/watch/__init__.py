"""Runs, sweeps and comparisons of a folder in a browser, as they go on."""
