"""Hydra's door to `hydra_sweep`. There must be no `hydra_plugins/__init__.py`, or Hydra finds no plugin at all."""
