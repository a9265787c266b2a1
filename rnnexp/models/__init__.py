"""Networks from sequences to logits."""

from rnnexp.models.recurrent import RecurrentClassifier

__all__ = ["RecurrentClassifier"]
