"""What is nearest to a word that nobody knows, and what other tools call things that have another name here."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

# word: what it may mean, of which the first that is among the allowed words counts; apps may add their own
SYNONYMS: dict[str, tuple[str, ...]] = {
    "bayes": ("tpe",),
    "bayesian": ("tpe",),
    "bo": ("tpe",),
    "evolution": ("nsgaii", "cmaes"),
    "gaussian": ("gp",),
    "halving": ("asha",),
    "n_jobs": ("workers",),
    "num_trials": ("n_trials",),
    "num_workers": ("workers",),
    "pruner": ("hydra/sweeper/pruner",),
    "sampler": ("hydra/sweeper/sampler",),
    "sobol": ("qmc",),
    "trials": ("n_trials",),
}


def nearest(word: str, words: Iterable[str]) -> str:
    """Returns ` (did you mean X?)` for the word nearest to what was typed, or nothing."""
    words = list(words)
    meant = [synonym for synonym in SYNONYMS.get(word.lower(), ()) if synonym in words]
    close = meant or difflib.get_close_matches(word, words, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def nearest_key(word: str, keys: Iterable[str]) -> str:
    """Returns a hint at a key with dots: the one that ends as what was typed does, by whatever name, or the nearest."""
    keys = list(keys)
    for leaf in (word.rpartition(".")[2], *SYNONYMS.get(word.rpartition(".")[2].lower(), ())):
        same_end = [key for key in keys if key.rpartition(".")[2] == leaf]
        if len(same_end) == 1:
            return f" (did you mean {same_end[0]}?)"
    return nearest(word, keys)


# functions of other tools, in Hydra's grammar: {0}, {1} ... are the arguments
DISTRIBUTIONS = {
    "uniform": "interval({0},{1})",
    "loguniform": "tag(log,interval({0},{1}))",
    "quniform": "tag(step:{2},interval({0},{1}))",
    "randint": "int(interval({0},{1}))",
    "lograndint": "tag(log,int(interval({0},{1})))",
    "qrandint": "tag(step:{2},int(interval({0},{1})))",
    "categorical": "choice({all})",
    "choice": "choice({all})",
}
ALIASES = {
    "float": "uniform",
    "suggest_float": "uniform",
    "suggest_uniform": "uniform",
    "log_uniform": "loguniform",
    "log": "loguniform",
    "reciprocal": "loguniform",
    "suggest_loguniform": "loguniform",
    "int_uniform": "randint",
    "suggest_int": "randint",
    "log_int": "lograndint",
    "discrete_uniform": "quniform",
    "choices": "categorical",
    "suggest_categorical": "categorical",
    "oneof": "categorical",
}
CALL = re.compile(r"(?P<key>[^=]+)=(?:\w+\.)*(?P<name>\w+)\s*[(\[]+(?P<arguments>[^()\[\]]*)[)\]]+")


def spelling(text: str) -> str | None:
    """Returns an override in Hydra's grammar that has another tool's distribution, or letters without their quotes.

    None if it has neither.
    """
    key, separator, value = text.partition("=")
    if separator and not value.isascii() and "'" not in value:
        return f"\"{key}='{value}'\""
    if (call := CALL.fullmatch(text.strip())) is None:
        return None
    name = call["name"].lower()
    arguments = [part.strip() for part in call["arguments"].split(",") if part.strip()]
    if "log=true" in [part.replace(" ", "").lower() for part in arguments]:  # suggest_float(1e-4, 1, log=True)
        name = {"randint": "lograndint"}.get(ALIASES.get(name, name), "loguniform")
        arguments = [part for part in arguments if "=" not in part]
    template = DISTRIBUTIONS.get(ALIASES.get(name, name))
    if template is None:
        return None
    try:
        return f"{call['key']}={template.format(*arguments, all=','.join(arguments))}"
    except IndexError:  # it lacks an end
        return f"{call['key']}={template.format('LOW', 'HIGH', 'STEP')}"
