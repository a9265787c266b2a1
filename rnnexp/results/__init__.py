"""Every run below a folder in one table, and what people ask of it.

from rnnexp.results import collect, group, histories, pivot, where

frame = collect("outputs")
group(where(frame, "optim.lr < 0.1"), ["model", "optim"])
"""

from rnnexp.results.aggregation import group, pivot
from rnnexp.results.collecting import collect, histories
from rnnexp.results.filtering import where

__all__ = ["collect", "group", "histories", "pivot", "where"]
