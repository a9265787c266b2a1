"""A comparison from Python."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from hydra_sweep.errors import UserError
from rnnexp.record.comparison_folder import ComparisonFolder
from rnnexp.views.view import View, or_text

if TYPE_CHECKING:
    import pandas as pd


class Comparison(View):
    """Arms tuned alike and judged on fresh seeds; on several data sets, what all of them say together.

    Example::

        comparison = rnnexp.compare(arms="model", name="cells")
        print(comparison.verdict)
    """

    @property
    def folder(self) -> ComparisonFolder:
        """The names of all files of its record."""
        return ComparisonFolder(self.path)

    @property
    def data(self) -> dict[str, Comparison]:
        """The comparison on each of several data sets, by the name of the data set; nothing if there is but one."""
        places = self._read().get("data", ())
        return {str(of["name"]): Comparison(self.path / of["folder"], trust=self.trust) for of in places}

    @property
    def table(self) -> pd.DataFrame:
        """A row for each arm: mean `test_accuracy` over its final runs with its 95 % interval (`low`, `high`), standard
        deviation between replicates, `test_loss` in nats, parameters, seconds and epochs of a run.

        On several data sets: the mean rank, the interquartile mean, and the accuracy on each of them.

        Raises:
            UserError: there is no verdict yet, or it is damaged.
        """
        import pandas as pd

        found = self._read()
        row = partial(_across_row if "data" in found else _arm_row, found)
        frame: pd.DataFrame = pd.DataFrame([row(arm) for arm in found["arms"]])
        return frame

    @property
    def pairs(self) -> pd.DataFrame:
        """A row for each pair of arms: difference of mean accuracies (a's less b's) with its 95 % interval, p-values,
        the probability that a new run of a beats one of b, and the verdict: better, worse, same or undecided.

        Raises:
            UserError: there is no verdict yet, or it is damaged.
        """
        import pandas as pd

        frame: pd.DataFrame = pd.DataFrame(self._read()["pairs"])
        return frame

    @property
    def verdict(self) -> str:
        """What is concluded, a line for each pair, then notes and warnings.

        Raises:
            UserError: there is no verdict yet, or it is damaged.
        """
        return "\n".join(self._sentences())

    def _sentences(self) -> list[str]:
        found = self._read()
        if "data" in found:
            return [*found["verdict"], *(f"warning: {text}" for text in found["warnings"])]
        said = [pair["sentence"] for pair in found["pairs"]]
        return [*said, *found["notes"], *(f"warning: {text}" for text in found["warnings"])]

    def _read(self) -> dict[str, Any]:
        folder = self.folder
        file = folder.across if folder.across.exists() else folder.verdict
        if not file.exists():
            if not folder.state.exists():
                raise UserError(f"{self.path} holds no comparison")
            where = f"look at {folder.searches} or {folder.finals}"
            raise UserError(f"{self.path} holds a comparison without a verdict yet; {where}")
        try:
            found: dict[str, Any] = folder.read_across() if file == folder.across else folder.read_verdict()
            if not {"arms", "pairs", "warnings"} <= found.keys():
                raise ValueError("it is no verdict")
        except (OSError, ValueError, AttributeError) as error:
            raise UserError(f"{file} is damaged ({error}); run the comparison again") from error
        return found

    def lines(self) -> list[str]:
        return [f"Comparison {self.place}", *self._sentences()]

    @or_text
    def _repr_html_(self) -> str:
        import pandas as pd

        from rnnexp.report import notebook

        found = self._read()
        first, *others = self.lines()
        if "data" in found:
            return notebook.cell(first, others, [self.table, self.pairs.drop(columns="sentence")])
        tables = [
            pd.DataFrame([_shown_arm(found, arm) for arm in found["arms"]]),
            pd.DataFrame([_shown_pair(pair) for pair in found["pairs"]]),
        ]
        arms = [arm["name"] for arm in found["arms"]]
        return notebook.cell(first, others, tables, notebook.arms(arms, [arm["accuracy"] for arm in found["arms"]]))


def _arm_row(found: Mapping[str, Any], arm: Mapping[str, Any]) -> dict[str, Any]:
    metric, accuracy = str(found["metric"]), arm["accuracy"]
    row = {"arm": arm["name"], "runs": len(arm["runs"]), metric: accuracy["mean"]}
    row |= {name: accuracy[name] for name in ("low", "high", "std")}
    row |= {metric.replace("accuracy", "loss"): arm["loss"]["mean"]}
    row |= {name: arm[name] for name in ("num_parameters", "train_seconds", "epochs")}
    return row | {"collapsed": arm["collapsed"]["number"]}


def _across_row(found: Mapping[str, Any], arm: Mapping[str, Any]) -> dict[str, Any]:
    row = {"arm": arm["name"], "mean_rank": arm["mean_rank"], "interquartile_mean": arm["interquartile_mean"]}
    row |= {"low": arm["interquartile_low"], "high": arm["interquartile_high"]}
    return row | {of["name"]: value for of, value in zip(found["data"], arm["accuracies"], strict=True)}


def _shown_arm(found: Mapping[str, Any], arm: Mapping[str, Any]) -> dict[str, str]:
    """Returns an arm as people read it, accuracies in percent."""
    part, accuracy = str(found["metric"]).partition("_")[0], arm["accuracy"]
    row = {"arm": arm["name"], "runs": str(len(arm["runs"])), f"{part} %": f"{100 * accuracy['mean']:.2f}"}
    row |= {"95 % interval": _range(accuracy, ".2f"), f"{part} loss": f"{arm['loss']['mean']:.4f}"}
    row |= {"parameters": f"{arm['num_parameters']:,}", "s/run": f"{arm['train_seconds']:.1f}"}
    return row | {"epochs": f"{arm['epochs']:g}", "collapsed": str(arm["collapsed"]["number"])}


def _shown_pair(pair: Mapping[str, Any]) -> dict[str, str]:
    row = {"pair": f"{pair['a']} - {pair['b']}", "points": f"{100 * pair['difference']:+.2f}"}
    row |= {"95 % interval": _range(pair, "+.2f"), "p": "-" if (p := pair["p_corrected"]) is None else f"{p:.2g}"}
    return row | {"verdict": pair["verdict"]}


def _range(of: Mapping[str, Any], form: str) -> str:
    if of["low"] is None or of["high"] is None:
        return "-"
    return f"[{100 * of['low']:{form}}, {100 * of['high']:{form}}]"
