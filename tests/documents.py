"""What README.md and docs/ show: their blocks, and the commands in them, so that tests can run or check each."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = [README, ROOT / "README.zh-CN.md", *sorted(p for p in DOCS.rglob("*.md") if "_build" not in p.parts)]
PLACEHOLDERS = re.compile(r"\b(VERB|NAME|FILE|PATH|URL)\b|\.\.\.|…")


class Block(NamedTuple):
    """A fenced block: its language, which is empty for output, and what is between the fences."""

    language: str
    text: str


class Command(NamedTuple):
    """What follows `rnnexp` on one command line, and the page that shows it."""

    page: Path
    arguments: tuple[str, ...]

    def __str__(self):
        return f"{self.page.relative_to(ROOT)}: {shlex.join(self.arguments)}"


def blocks(page):
    """Returns the fenced blocks of a page; cells that its build runs have the language of what they hold."""
    found = []
    for language, text in re.findall(r"^```(\S*)[^\n]*\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE):
        if language == "{code-cell}":
            text = re.sub(r"\A(?::\w.*\n)+\n?", "", text)
            if text.startswith("%%bash\n"):
                language, text = "sh", text.removeprefix("%%bash\n")
            else:
                text = re.sub(r"\A%%writefile ", "# ", text)
                language = "yaml" if re.match(r"# \S+\.yaml\n", text) else "python"
        found.append(Block(language, text))
    return found


def run(command, folder):
    """Runs a line of a shell block in a folder as it stands, and returns how it ended: well."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, text=True, env={**os.environ, "PATH": path}
    )
    assert done.returncode == 0, (command, done.stderr)
    return done


def commands(page):
    """Returns the commands of a page: those of its shell blocks, and those in the middle of a sentence."""
    lines = [line for block in blocks(page) if block.language == "sh" for line in joined(block.text).splitlines()]
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    spans = [" ".join(text.split()) for text in re.findall(r"`([^`]+)`", prose)]
    is_mention = re.compile(r"rnnexp \w+ --(?!help)\w+")  # of a verb's option, and no command
    lines += [text for text in spans if re.match(r"rnnexp \S+ ", text) and not is_mention.fullmatch(text)]
    found = []
    for line in lines:
        for words in split(shlex.split(line, comments=True)):
            if words[:1] == ["rnnexp"] and not PLACEHOLDERS.search(" ".join(words)):
                found.append(Command(page, tuple(words[1:])))
    return found


def joined(text):
    """Returns a script with the lines joined that end in a backslash."""
    return re.sub(r"\\\n\s*", "", text)


def split(words):
    """Yields the commands of a line, which && or a pipe may join, but for one that is meant to fail, before ||."""
    command = []
    for word in words:
        if word in ("&&", "|", "||"):
            if word != "||":
                yield command
            command = []
        elif not re.fullmatch(r"\d?>&?\S*", word):  # where its output goes
            command.append(word)
    yield command


def write_files(page, folder):
    """Writes the modules and YAML files of a page where their first line says, and returns their paths."""
    written = []
    for block in blocks(page):
        name = re.match(r"(?:# @package _global_\n)?# ([\w/]+\.(?:py|yaml))\b.*\n", block.text)
        if block.language in ("python", "yaml") and name:
            path = folder / name[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
            written.append(path)
    return written
