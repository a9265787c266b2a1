"""Networks from sequences to logits."""

from rnnexp.models.linear import LinearClassifier
from rnnexp.models.recurrent import RecurrentClassifier

__all__ = ["LinearClassifier", "RecurrentClassifier"]
