"""A table as Markdown, LaTeX, CSV, HTML or Parquet: text is escaped, numbers keep their digits."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import pandas as pd

from hydra_sweep.errors import UserError
from hydra_sweep.text_table import cell_text

LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def to_csv(frame: pd.DataFrame) -> str:
    return str(frame.to_csv(index=False))


def to_markdown(frame: pd.DataFrame) -> str:
    """Returns a table of GitHub's Markdown."""
    escape = _escaper(lambda text: " ".join(text.replace("\\", "\\\\").replace("|", "\\|").split()))
    rules = ["---:" if is_number else "---" for is_number in _numeric(frame)]
    lines = [[escape(str(name)) for name in frame.columns], rules, *_rows(frame, escape)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def to_latex(frame: pd.DataFrame) -> str:
    """Returns a tabular for the package booktabs."""
    escape = _escaper(lambda text: " ".join("".join(LATEX.get(character, character) for character in text).split()))
    columns = "".join("r" if is_number else "l" for is_number in _numeric(frame))
    head = " & ".join(escape(str(name)) for name in frame.columns)
    body = "".join(f"{' & '.join(row)} \\\\\n" for row in _rows(frame, escape))
    rules = (
        f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{head} \\\\\n\\midrule\n{body}\\bottomrule\n\\end{{tabular}}\n"
    )
    return f"% needs \\usepackage{{booktabs}}\n{rules}"


def to_html(frame: pd.DataFrame) -> str:
    """Returns a table element; `rnnexp report` writes whole pages."""
    escape = _escaper(html.escape)
    head = "".join(f"<th>{escape(str(name))}</th>" for name in frame.columns)
    align = [' style="text-align: right"' if is_number else "" for is_number in _numeric(frame)]
    lines = ["".join(f"<td{a}>{cell}</td>" for a, cell in zip(align, row, strict=True)) for row in _rows(frame, escape)]
    body = "".join(f"<tr>{line}</tr>\n" for line in lines)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n"


TEXT: dict[str, Callable[[pd.DataFrame], str]] = {
    "csv": to_csv,
    "markdown": to_markdown,
    "latex": to_latex,
    "html": to_html,
}
SUFFIXES = {".csv": "csv", ".md": "markdown", ".tex": "latex", ".html": "html", ".parquet": "parquet"}


def to_parquet(frame: pd.DataFrame) -> bytes:
    """Returns the table in a format where a column has one type: numbers mixed with text become text.

    Raises:
        UserError: pyarrow is not installed.
    """
    plain = ("string", "boolean", "empty")
    objects = [name for name in frame.columns if frame[name].dtype == object]
    mixed = [name for name in objects if pd.api.types.infer_dtype(frame[name], skipna=True) not in plain]
    frame = frame.assign(**{name: frame[name].map(str, na_action="ignore") for name in mixed})
    try:
        return frame.to_parquet(index=False, engine="pyarrow")
    except ImportError:
        raise UserError("--parquet needs pyarrow; type pip install 'rnnexp[parquet]', or take --csv") from None


def _rows(frame: pd.DataFrame, escape: Callable[[str], str]) -> list[list[str]]:
    names = [str(name) for name in frame.columns]
    columns = [[escape(cell_text(value, name)) for value in frame[name].tolist()] for name in names]
    return [list(row) for row in zip(*columns, strict=True)]


def _numeric(frame: pd.DataFrame) -> list[bool]:
    kinds: list[Any] = [frame[name].dtype for name in frame.columns]
    return [pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind) for kind in kinds]


def _escaper(escape: Callable[[str], str]) -> Callable[[str], str]:
    """Lets no character through that would end a line or steer a terminal."""
    return lambda text: escape("".join(c if c.isprintable() else repr(c)[1:-1] for c in text))
