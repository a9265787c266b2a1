"""What is nearest to a word that nobody knows, and what other tools call things that have another name here."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

# word: what it may mean, of which the first that is among the allowed words counts; apps may add their own. Of a word
# that means nothing else, (), however much it looks like others, there is no hint.
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
    if SYNONYMS.get(word.lower()) == ():
        return ""
    meant = [synonym for synonym in SYNONYMS.get(word.lower(), ()) if synonym in words]
    close = meant or difflib.get_close_matches(word, words, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def nearest_path(typed: str) -> str:
    """Returns ` (did you mean X?)` for the path that looks most like one that leads nowhere, or nothing."""
    try:
        path = Path(typed).expanduser()
        beside = [inside.name for inside in path.parent.iterdir() if inside.name[0] != "."]
    except (OSError, RuntimeError, ValueError):  # not there, nobody's home, no path at all
        return ""
    close = difflib.get_close_matches(path.name, beside, n=1)
    return f" (did you mean {Path(typed).parent / close[0]}?)" if close else ""


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

BLANK = re.compile(r"(?P<before>.*\b(?:interval|range)\(\s*[^\s,()]+)\s+(?P<after>[^\s,()]+\s*\).*)")
CLOSING = {"(": ")", "[": "]", "{": "}"}


def unreadable(text: str, cause: str) -> str:
    """Returns the line for an override that Hydra's grammar doesn't have.

    Args:
        cause: what Hydra says.
    """
    if better := closed(text):
        return f"can't read {text!r}: a closing bracket is missing; type {shlex.quote(better)}"
    if blank := BLANK.fullmatch(text):
        better = shlex.quote(f"{blank['before']},{blank['after']}")
        return f"can't read {text!r}: a comma is missing between the two numbers; type {better}"
    if re.search(r"[=,]\s*interval\(", text) and "while evaluating" in cause:
        return f"can't read {text!r}: an interval has two numbers with a comma between, as interval(0.1,1)"
    better = f"type {better}" if (better := spelling(text)) else "write key=value"
    return f"can't read {text!r} ({cause}); {better}"


def closed(text: str) -> str | None:
    """Returns text with the brackets closed that are open at its end; None if there are none, or it isn't that."""
    missing: list[str] = []
    quote = ""
    for character in text:
        if quote or character in "'\"":
            quote = "" if character == quote else quote or character
        elif character in CLOSING:
            missing.append(CLOSING[character])
        elif character in CLOSING.values() and (not missing or missing.pop() != character):
            return None
    return text + "".join(reversed(missing)) if missing and not quote else None


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
