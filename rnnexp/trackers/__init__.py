"""Experiment trackers, each a callback that imports its package once a run begins: `tracker=mlflow` and the like."""
