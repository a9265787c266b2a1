"""The site's generated parts say what the code says, and each page is reachable. `make docs` builds it, and runs it."""

import dataclasses
import importlib.util
import re

import pytest
import yaml
from documents import DOCS, ROOT, blocks, commands

from hydra_sweep import settings
from hydra_sweep.differences import flatten
from hydra_sweep.grammar import distribution_of, parse
from rnnexp.cli import VERBS
from rnnexp.record.result import HISTORY_COLUMNS, METRICS, RunResult, Status
from rnnexp.schema.config import SCHEMAS, Config, TrainConfig
from rnnexp.schema.tree import CONFIG_DIR

RECORD, GRAMMAR = (DOCS / "reference" / f"{name}.md" for name in ("record", "grammar"))


@pytest.fixture(scope="module")
def generated():
    spec = importlib.util.spec_from_file_location("generated", DOCS / "generated.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FILES = [
    path.relative_to(CONFIG_DIR).as_posix()
    for path in sorted(CONFIG_DIR.rglob("*.yaml"))
    if not {"experiment", "search", "hydra", "recipes", "metrics"} & set(path.relative_to(CONFIG_DIR).parts)
]


@pytest.mark.parametrize("path", FILES)
def test_every_key_of_a_file_has_a_meaning_and_its_default(generated, path):
    values = yaml.safe_load((CONFIG_DIR / path).read_text()) or {}
    kept = {key: value for key, value in values.items() if key not in ("defaults", "hydra", "_target_")}
    keys = list(generated.keys_of(path))
    assert {key.name: key.value for key in keys if key.value != {}} == flatten(kept)
    assert [key.name for key in keys if not key.comment] == []


def test_every_key_has_a_row_with_its_type_and_range(generated):
    text = generated.configuration()
    assert "| `train.epochs` | `10` | whole number, >= 1 | passes over the training part |" in text
    assert "| `model.readout` | `last` | `last`, `mean` |" in text
    assert "| `optim.lr` | `0.1` | number, > 0 |" in text
    assert "| `data.jitter.degrees` | `10.0` | number, >= 0, <= 180 |" in text
    assert "| `compare.smallest_effect` | `0.002` | number, > 0, < 1 |" in text
    rows = set(re.findall(r"^\| `([\w.]+)` \|", text, re.MULTILINE))
    of_its_own = {"model", "optim", "schedule", "data", "metrics", "train", "tracker", "experiment", "search"}
    assert {field.name for field in dataclasses.fields(Config)} - of_its_own <= rows
    assert {f"train.{field.name}" for field in dataclasses.fields(TrainConfig)} <= rows
    for group, options in SCHEMAS.items():
        for schema in options.values():
            own = {f.name for f in dataclasses.fields(schema)} - {"_target_", "jitter"}
            assert {f"{group}.{name}" for name in own} <= rows


def test_every_option_of_every_group_is_there(generated):
    text = generated.configuration()
    for path in CONFIG_DIR.glob("**/*.yaml"):
        group, option = path.parent.relative_to(CONFIG_DIR).as_posix(), path.stem
        if group not in (".", "data/shared", "train", "metrics") and "recipes" not in group:
            assert f"### `{group.removeprefix('hydra/')}={option}`" in text, path
        if group == "metrics":
            assert f"`metrics=[{option}]`" in text


def test_the_sweeper_and_each_sampler_and_pruner_have_all_their_keys(generated):
    text = generated.sweeper()
    kept = {f.name for f in dataclasses.fields(settings.SweeperConfig) if not f.name.startswith("_")}
    rows = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    assert kept - {"defaults", "sampler", "pruner"} <= rows
    for name in (*settings.SAMPLERS, *settings.PRUNERS):
        assert f"### `{name}`" in text
    assert "| `forbidden_objectives` | `{}` |  | what no choice may be made by, a pattern of names" in text
    assert "| `min_resource` | `1` | whole number | steps that every trial gets |" in text


def test_the_help_of_every_verb_is_there(generated):
    text = generated.commands()
    for verb in VERBS:
        help_text = re.search(rf"## `rnnexp {verb}`\n\n```text\n(.*?)```", text, re.DOTALL)[1]
        assert f"rnnexp {verb}" in help_text


def test_the_record_is_described_whole():
    text = RECORD.read_text()
    named = set(re.findall(r"`(\w+)`", text))
    assert {field.name for field in dataclasses.fields(RunResult)} <= named
    assert {status.value for status in Status} == set(re.findall(r"^\| `(\w+)` \|", table_of(text, "status"), re.M))
    assert set(METRICS) | set(HISTORY_COLUMNS) <= named


def table_of(text, title):
    return re.search(rf"^\| {title} \|.*?\n\n", text, re.DOTALL | re.MULTILINE)[0]


def test_every_value_of_the_grammar_is_one():
    written = re.findall(r"^\| `([^`]+)` \|", table_of(GRAMMAR.read_text(), "written"), re.MULTILINE)
    assert len(written) > 8
    for text in written:
        distribution_of(parse(f"key={text}", None), is_search=True)
    with pytest.raises(ValueError, match=r"write int\(interval\(1,3\)\) or int\(interval\(1,4\)\)"):
        distribution_of(parse("key=range(1,4)", None), is_search=True)


def test_every_page_is_in_the_contents_and_in_llms_txt():
    listed = re.findall(r"^(?:.*<)?([\w/-]+)>?$", "\n".join(toctrees()), re.MULTILINE)
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in sources()}
    assert set(listed) == pages - {"index"}
    found = set()
    for target in re.findall(r"\]\(([^)]+)\)", (DOCS / "llms.txt").read_text()):
        name = target.removeprefix("_sources/").removesuffix(".txt")
        page = re.sub(r"\.(html|md|ipynb)$", "", name)
        assert page in pages, target
        assert name.endswith(".html") or (DOCS / name).exists(), target
        found.add(page)
    assert found == pages - {"index"}


def sources():
    return [
        path
        for pattern in ("*.md", "*.ipynb")
        for path in DOCS.rglob(pattern)
        if not {"_build", "jupyter_execute", ".ipynb_checkpoints"} & set(path.parts)
    ]


def toctrees():
    text = (DOCS / "index.md").read_text()
    return [
        re.sub(r"^:.*\n", "", body, flags=re.M) for body in re.findall(r"^```\{toctree\}\n(.*?)^```", text, re.S | re.M)
    ]


def test_each_file_of_the_repository_that_is_a_page_has_one(generated):
    for name, page in generated.PAGES.items():
        assert (ROOT / name).exists()
        assert f"](../{name}) <!-- page" in (DOCS / page).read_text()


def test_a_page_of_the_site_has_the_file_that_it_links_to(generated):
    text = generated.expanded("[x](../CHANGELOG.md) <!-- page -->\n\n[y](../SECURITY.md)\n", "x")
    assert text.startswith("# Changelog\n\n")
    assert text.endswith("\n\n[y](trust.md)\n")
    front = generated.expanded((DOCS / "index.md").read_text(), "index")
    assert "](figures/cells-forest.png)" in front
    assert "## Contributing" not in front


def test_links_lead_to_pages_of_the_site(generated):
    text = "[a](docs/runs.md#x) [b](EXPERIMENTS.md) [c](https://d.e) [f](CITATION.cff) ![g](docs/figures/h.png) [i](#j)"
    assert generated.linked(text, ROOT, DOCS) == (
        "[a](runs.md#x) [b](experiments.md) [c](https://d.e) f ![g](figures/h.png) [i](#j)"
    )
    assert (
        generated.linked("[a](../SECURITY.md) [b](runs.md)", DOCS, DOCS / "reference")
        == "[a](../trust.md) [b](../runs.md)"
    )


def test_tutorials_are_small():
    for path in (DOCS / "tutorials").glob("*.md"):
        for command in commands(path):
            if "search=default" not in command.arguments and "train.epochs" in " ".join(command.arguments):
                assert any(text in " ".join(command.arguments) for text in ("data.limit=", "data.root=sensors.csv")), (
                    path
                )
        assert any(block.language == "sh" for block in blocks(path)), path
