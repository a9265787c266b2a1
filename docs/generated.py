"""The parts of the site that are made from the code: tables of keys, the help of each verb, pages of the repository.

A page of docs/ asks for one by a line with a comment, which readers on GitHub don't see. `<!-- generated: sweeper -->`
names a function below. Of `[CHANGELOG.md](../CHANGELOG.md) <!-- page -->` the site has the file, and GitHub the link.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import io
import re
import sys
import textwrap
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import yaml

from hydra_sweep import settings
from rnnexp import cli
from rnnexp.schema.config import (
    SCHEMAS,
    CompareConfig,
    Config,
    ImagesSchema,
    JitterConfig,
    ScheduleSchema,
    SeriesSchema,
    TrainConfig,
)
from rnnexp.schema.tree import CONFIG_DIR, shipped_options

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = {  # files of the repository that are pages of the site
    "README.md": "index.md",
    "README.zh-CN.md": "zh-CN.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "trust.md",
    "EXPERIMENTS.md": "experiments.md",
    "benchmarks/README.md": "benchmarks.md",
    "benchmarks/results/table.md": "measurements.md",
}
WORDS = {"int": "whole number", "float": "number", "bool": "true or false", "str": "text", "None": "null"}
GROUP_TITLES = {
    "model": "Networks",
    "optim": "Optimizers",
    "schedule": "Schedules",
    "data": "Data",
    "metrics": "Metrics",
    "tracker": "Trackers",
}
RECIPES = {"experiment": "Recipes", "search": "Search spaces", "hydra/launcher": "Launchers"}
SHARED = {"images": ImagesSchema, "series": SeriesSchema}  # conf/data/shared


class Key(NamedTuple):
    """A key of a YAML file of conf/, its value and the comment beside it."""

    name: str
    value: Any
    comment: str


def configuration() -> str:
    """Returns every key that `rnnexp` and `rnnexp compare` take, by file of conf/."""
    parts = ["## Of every command", keys_table("config.yaml", fields_of(Config))]
    parts += ["## Training", keys_table("train/default.yaml", fields_of(TrainConfig), "train.")]
    parts += ["## Comparisons", keys_table("compare.yaml", fields_of(CompareConfig), only="compare.")]
    for group in groups():
        parts.append(f"## {GROUP_TITLES.get(group, group.capitalize())}: `{group}=`")
        if group == "data":
            for kind, schema in SHARED.items():
                fields = fields_of(schema) | fields_of(JitterConfig, "jitter.")
                parts += [f"### Of all {kind}", keys_table(f"data/shared/{kind}.yaml", fields, "data.")]
        for option in shipped_options(group):
            path = f"{group}/{option}.yaml"
            fields = fields_of(SCHEMAS.get(group, {}).get(option, ScheduleSchema))
            about = heading(path)
            if group == "metrics":
                parts.append(f"`{group}=[{option}]`: {about.lower()[:1] + about[1:]}.")
                continue
            parts += [
                f"### `{group}={option}`",
                *([f"{about}."] if about else []),
                keys_table(path, fields, f"{group}."),
            ]
    for group, title in RECIPES.items():
        parts.append(f"## {title}: `{group.removeprefix('hydra/')}=`")
        for option in shipped_options(group):
            text = (CONFIG_DIR / group / f"{option}.yaml").read_text()
            parts += [f"### `{group.removeprefix('hydra/')}={option}`", f"```yaml\n{text}```"]
    return "\n\n".join(part for part in parts if part)


def groups() -> list[str]:
    """Returns the groups whose options have keys of their own, known ones first."""
    there = {path.name for path in CONFIG_DIR.iterdir() if path.is_dir()} - {"train", "hydra", *RECIPES}
    return sorted(there, key=lambda name: ([*GROUP_TITLES, name].index(name), name))


def heading(path: str) -> str:
    """Returns the comment at the beginning of a file of conf/."""
    lines = (CONFIG_DIR / path).read_text().splitlines()
    comment = [line.removeprefix("#").strip() for line in lines[: next(n for n, x in enumerate(lines) if x[:1] != "#")]]
    return escape(" ".join(comment))


def keys_of(path: str) -> Iterator[Key]:
    """Yields the keys of a file of conf/, `_target_` and those of Hydra left out."""
    text = (CONFIG_DIR / path).read_text()
    values, parents = yaml.safe_load(text), []
    for line in text.splitlines():
        found = re.match(r"( *)([\w.]+):(.*)$", line)
        if not found:
            continue
        depth = len(found[1]) // 2
        parents[depth:] = [found[2]]
        if parents[0] in ("defaults", "hydra", "_target_"):
            continue
        value = values
        for name in parents:
            value = value[name]
        if not isinstance(value, Mapping) or not value:
            comment = re.search(r"(?:^|\s)# (.*)$", found[3])
            yield Key(".".join(parents), value, comment[1] if comment else "")


def fields_of(schema: type, prefix: str = "") -> dict[str, dataclasses.Field[Any]]:
    return {prefix + field.name: field for field in dataclasses.fields(schema)}


def keys_table(path: str, fields: Mapping[str, Any], prefix: str = "", only: str = "") -> str:
    """Returns the table of a file's keys, nothing if it has none."""
    rows = []
    for key in keys_of(path):
        if not key.name.startswith(only):
            continue
        field = fields.get(key.name.removeprefix(only))
        values = values_text(field) if field else ""
        rows.append((f"`{prefix}{key.name}`", f"`{default_text(key.value)}`", values, escape(key.comment)))
    return table(("key", "default", "values", "meaning"), rows) if rows else ""


def values_text(field: dataclasses.Field[Any]) -> str:
    """Returns what a key of the schema may be, in words; nothing where the meaning says it."""
    if words := field.metadata.get("allowed"):
        return ", ".join(f"`{word}`" for word in words)
    bounds = [f"{sign} {bound:,}" for sign, bound in field.metadata.items() if bound is not None]
    return ", ".join(text for text in (type_text(field.type), *bounds) if text)


def type_text(annotation: Any) -> str:
    """Returns a type in words, nothing for one that has none."""
    kinds = str(annotation).split(" | ")
    listed = ["list" if kind.startswith("list[") else WORDS.get(kind, "") for kind in kinds]
    return " or ".join(text for text in listed if text)


def default_text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return "needed" if value == "???" else str(value)


def sweeper() -> str:
    """Returns the keys of hydra.sweeper and the parameters of each sampler and pruner."""
    parts = ["## Keys of `hydra.sweeper`", arguments_table(settings.SweeperConfig)]
    parts += ["## Ends of a sweep: `hydra.sweeper.stop`", arguments_table(settings.StopConfig)]
    for title, group, options in (
        ("Samplers", "sampler", settings.SAMPLERS),
        ("Pruners", "pruner", settings.PRUNERS),
    ):
        parts.append(f"## {title}: `hydra/sweeper/{group}=`")
        for name, option in options.items():
            about = inspect.cleandoc(option.__doc__ or "") if "__doc__" in vars(option) else ""
            about = "" if about.startswith(f"{option.__name__}(") else about  # what dataclass writes
            target = option.__dataclass_fields__["_target_"].default
            parts += [f"### `{name}`", about, f"[{target}]({optuna_page(target, group)})", arguments_table(option)]
    return "\n\n".join(part for part in parts if part)


def optuna_page(target: str, group: str) -> str:
    return f"https://optuna.readthedocs.io/en/stable/reference/{group}s/generated/{target}.html"


def arguments_table(schema: type) -> str:
    """Returns the table of a settings class: each field with its type, its default and the comment in its source."""
    defaults = {field.name: field for field in dataclasses.fields(schema)}
    rows = []
    for name, comment in comments(schema).items():
        field = defaults[name]
        if name.startswith("_") or name in ("defaults", "sampler", "pruner") or "refused" in comment:
            continue
        value = field.default_factory() if field.default is dataclasses.MISSING else field.default  # type: ignore[misc]
        value = "" if dataclasses.is_dataclass(value) else f"`{default_text(value)}`"
        rows.append((f"`{name}`", value, type_text(field.type), escape(comment)))
    return table(("key", "default", "values", "meaning"), rows) if rows else ""


def comments(schema: type) -> dict[str, str]:
    """Returns the comment beside, or on the lines before, each field that a class itself has."""
    source = textwrap.dedent(inspect.getsource(schema))
    found = {
        token.start[0]: token.string.removeprefix("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    lines = source.splitlines()
    body = ast.parse(source).body[0].body  # type: ignore[attr-defined]
    fields = [node for node in body if isinstance(node, ast.AnnAssign)]
    result = {}
    for node in fields:
        text = [found[n] for n in range(node.lineno, node.end_lineno + 1) if n in found]
        before = node.lineno - 1
        while before in found and lines[before - 1].strip().startswith("#"):
            text.insert(0, found[before])
            before -= 1
        result[node.target.id] = " ".join(text)
    return result


def commands() -> str:
    """Returns what `rnnexp --help` and the `--help` of each verb print."""
    parts = [f"```text\n{helped([])}```"]
    for name in cli.VERBS:
        parts += [f"## `rnnexp {name}`", f"```text\n{helped([name])}```"]
    return "\n\n".join(parts)


def helped(arguments: Sequence[str]) -> str:
    """Returns what a verb prints when it is asked for help."""
    printed = io.StringIO()
    width = mock.patch.dict("os.environ", {"COLUMNS": "80"})
    argv = mock.patch.object(sys, "argv", ["rnnexp", *arguments, "--help"])
    with redirect_stdout(printed), width, argv, suppress(SystemExit):
        cli.main()
    return printed.getvalue()


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


SETTING = re.compile(r"""(["'])([\w.]+ ?[=<>]+[^"']*)\1|(?<![\w`])([\w./]*\w=[^\s;,()"']*[^\s;,().:"'])""")


def escape(text: str) -> str:
    """Returns a comment as a table's cell may have it; settings, such as key=value, are code."""
    parts, end = [], 0
    for found in SETTING.finditer(text):
        parts += [_plain(text[end : found.start()]), f"`{(found[2] or found[3]).replace('|', chr(92) + '|')}`"]
        end = found.end()
    return "".join([*parts, _plain(text[end:])])


def _plain(text: str) -> str:
    return re.sub(r"([|*_\[\]])", r"\\\1", text).replace("<", "&lt;")


PAGE = re.compile(r"^\[[^\]]*\]\((\S+)\) <!-- page(?: until (.+))? -->$", re.MULTILINE)
PART = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)


def made_from(source: str, docname: str) -> Iterator[Path]:
    """Yields the files that a page is made from besides its own."""
    yield from ((DOCS / docname).parent / found[1] for found in PAGE.finditer(source))
    if PART.search(source):
        yield from (Path(__file__), Path(settings.__file__), *CONFIG_DIR.rglob("*.yaml"))


def expanded(source: str, docname: str) -> str:
    """Returns a page's source with what it asks for in it, and links to files of the repository led to their pages."""
    folder = (DOCS / docname).parent

    def page(found: re.Match[str]) -> str:
        path = (folder / found[1]).resolve()
        text = path.read_text()
        return linked(text[: text.index(f"\n## {found[2]}\n")] if found[2] else text, path.parent, folder)

    source = PAGE.sub(page, linked(source, folder, folder))
    return PART.sub(lambda found: globals()[found[1]](), source)


def linked(text: str, folder: Path, to: Path) -> str:
    """Returns Markdown with its links, which are relative to a folder, made relative to another one of docs/."""

    def link(found: re.Match[str]) -> str:
        label, target, anchor = found[1], found[2], found[3] or ""
        if re.match(r"[a-z]+:", target) or not target:
            return found[0]
        path = (folder / target).resolve()
        if not path.is_relative_to(ROOT):
            return found[0]
        if page := PAGES.get(str(path.relative_to(ROOT))):
            path = DOCS / page
        elif not path.is_relative_to(DOCS) and path.suffix != ".png":
            return label.strip("[]")  # a file that is not part of the site
        return f"{label}({relative(path, to)}{anchor})"

    return re.sub(r"(!?\[[^\]]*\])\(([^)\s#]*)(#[^)\s]*)?\)(?! <!-- page)", link, text)


def relative(path: Path, to: Path) -> str:
    up = 0
    while not path.is_relative_to(to):
        to, up = to.parent, up + 1
    return "../" * up + path.relative_to(to).as_posix()
