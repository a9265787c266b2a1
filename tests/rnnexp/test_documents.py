"""Every command that README.md and docs/ show is sound, every link leads somewhere, and both READMEs say the same."""

import inspect
import re
import sys

import pytest
from documents import DOCS, PAGES, README, ROOT, blocks, commands, write_files
from series_data import flags, gestures

import rnnexp
from hydra_sweep.commands import Parser
from rnnexp import cli
from rnnexp.cli import VERBS
from rnnexp.command_line import LAUNCHER_PLUGINS, CommandLine
from rnnexp.compat import get_args_parser
from rnnexp.runner import run
from rnnexp.schema.config import register_schemas
from rnnexp.schema.tree import CONFIG_DIR

GRAMMAR = DOCS / "reference" / "grammar.md"
CHINESE = ROOT / "README.zh-CN.md"
RUN_ELSEWHERE = DOCS / "data.md"  # test_data_docs.py runs its blocks as they stand
COMMANDS = [command for page in PAGES for command in commands(page) if page != RUN_ELSEWHERE]
TRAINS = [each for each in COMMANDS if each.arguments[0] not in VERBS or each.arguments[0] == "train"]
COMPARES = [each for each in COMMANDS if each.arguments[0] == "compare"]  # test_comparing_docs.py has those of new runs
ANSWERS = [each for each in COMMANDS if each not in TRAINS + COMPARES or "--from" in each.arguments]
AT_ONCE = ("--help", "--version", "-sc")


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Returns an empty folder, but for data of one's own, in which a command may be typed."""
    gestures(tmp_path / "gestures.npz")
    flags(tmp_path / "shapes")
    rows = [f"{n},{t},{n % 3 + 0.1 * t},{'abc'[n % 3]}" for n in range(30) for t in range(5)]
    (tmp_path / "sensors.csv").write_text("\n".join(["series,time,current,label", *rows]) + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name, module in sys.modules.items() if str(tmp_path) in str(getattr(module, "__file__", ""))]:
        del sys.modules[name]


@pytest.mark.filterwarnings(r"ignore:\s*'hydra/launcher/ray' is validated")  # Hydra's, of a schema of the same name
@pytest.mark.parametrize("command", [c for c in TRAINS if not set(AT_ONCE) & set(c.arguments)], ids=str)
def test_every_training_command_is_sound(elsewhere, command):
    write_files(command.page, elsewhere)
    for launcher, plugin in LAUNCHER_PLUGINS.items():
        if f"launcher={launcher}" in command.arguments:
            pytest.importorskip(f"hydra_plugins.{plugin}", reason=f"needs pip install 'rnnexp[{launcher}]'")
    register_schemas()
    args = get_args_parser().parse_intermixed_args([a for a in command.arguments if a != "train"])
    assert CommandLine(args, CONFIG_DIR).problems() == []


class Parsed(BaseException):
    """A verb has understood its arguments."""


def parse_only(method):
    """Returns a parser's method that ends the command once it has parsed."""

    def parse(self, *arguments, **options):
        method(self, *arguments, **options)
        raise Parsed

    return parse


@pytest.mark.parametrize("command", ANSWERS, ids=str)
def test_every_other_verb_understands_what_is_shown(elsewhere, monkeypatch, command):
    for name in ("parse_args", "parse_intermixed_args"):
        monkeypatch.setattr(Parser, name, parse_only(getattr(Parser, name)))
    monkeypatch.setattr(sys, "argv", ["rnnexp", *command.arguments])
    with pytest.raises((Parsed, SystemExit)) as ended:
        cli.main()
    assert ended.type is Parsed or ended.value.code == 0  # --help


@pytest.mark.parametrize("command", [c for c in COMMANDS if set(AT_ONCE) & set(c.arguments)], ids=str)
def test_what_is_answered_at_once_is(elsewhere, monkeypatch, capsys, command):
    monkeypatch.setattr(sys, "argv", ["rnnexp", *command.arguments])
    assert cli.main() == 0
    assert capsys.readouterr().out


def test_the_space_of_the_grammar_page_is_one(elsewhere):
    [space] = [block.text for block in blocks(GRAMMAR) if block.language == "yaml"]
    path = elsewhere / "myconf" / "search" / "shown.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(f"# @package _global_\nn_trials: 3\n{space}")
    register_schemas()
    args = get_args_parser().parse_args(["-m", "--config-dir", "myconf", "search=shown"])
    assert CommandLine(args, CONFIG_DIR).problems() == []


@pytest.mark.parametrize("page", [README, CHINESE, DOCS / "tables.md", DOCS / "reference" / "record.md"], ids=str)
def test_the_python_of_a_page_runs_where_there_are_runs(page, compose, small, elsewhere, monkeypatch):
    monkeypatch.setattr(rnnexp, "run", inspect.signature(rnnexp.run).bind)  # test_docs.py trains by it
    for model in ("gru", "lstm"):
        cfg = compose(f"model={model}", "optim=adam", *small, "train.epochs=1")
        run(cfg, elsewhere / "outputs" / "runs" / model, choices={"model": model, "optim": "adam"})
    names = {}
    for block in blocks(page):
        if block.language == "python":
            exec(block.text, names)
    assert names["runs"]["model"].tolist() == ["gru", "lstm"]


def test_commands_of_every_verb_are_shown():
    shown = {each.arguments[0] for each in [*COMMANDS, *commands(RUN_ELSEWHERE)]} & VERBS.keys()
    assert shown | {"train"} == VERBS.keys()  # which may be left out


def test_no_page_spells_a_command_the_older_way():
    for page in PAGES:
        text = page.read_text().replace("`python -m rnnexp VERB`", "").replace("`python -m rnnexp --help`", "")
        assert not re.search(r"python -m rnnexp", text), page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_program_that_is_named_exists(page):
    own = {found[1] for block in blocks(page) if (found := re.match(r"# (\S+\.py)\b", block.text))}
    for name in re.findall(r"python ((?:\w+/)*\w+\.py)", page.read_text()):
        assert (ROOT / name).exists() or name in own, name


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"], ids=str)
def test_every_link_leads_to_a_file_and_to_a_heading_in_it(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        assert path.is_relative_to(ROOT), target
        if anchor:
            assert anchor in anchors(path), target


def anchors(page):
    """Returns GitHub's anchors of the headings of a page."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def test_the_readme_is_short():
    assert len(README.read_text().splitlines()) <= 150


def figures(page):
    """Returns every number that a page's sentences and tables show, in their order in the page, sorted."""
    text = re.sub(r"\]\([^)]*\)", "]", page.read_text())
    return sorted(re.findall(r"\d[\d,]*(?:\.\d+)?", text))


def test_both_readmes_show_the_same_blocks_commands_figures_and_links():
    without_comments = [
        [(b.language, re.sub(r"(?m)(^| +)# .*$", "", b.text)) for b in blocks(page)] for page in (README, CHINESE)
    ]
    assert without_comments[0] == without_comments[1]
    assert [c.arguments for c in commands(README)] == [c.arguments for c in commands(CHINESE)]
    assert figures(README) == figures(CHINESE)
    links = [
        [link for link in re.findall(r"\]\(([^)]*)\)", page.read_text()) if "README" not in link]
        for page in (README, CHINESE)
    ]
    assert sorted(links[0]) == sorted(links[1])
    headings = [re.findall(r"^(#+) ", page.read_text(), re.MULTILINE) for page in (README, CHINESE)]
    assert headings[0] == headings[1]
