"""Hydra's door to `rnnexp.sweep`. There must be no `hydra_plugins/__init__.py`, or Hydra finds no plugin at all."""
