"""What GitHub reads of the repository is sound: workflows, issue forms, the citation. Nothing here asks the network."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import rnnexp

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"^ *(?:- )?uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


def schema(name, *files):
    if importlib.util.find_spec("check_jsonschema") is None:
        pytest.skip("needs check-jsonschema: pip install -e '.[dev]'")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", name, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_finds_nothing_in_the_workflows():
    zizmor = shutil.which("zizmor") or shutil.which("zizmor", path=str(Path(sys.executable).parent))
    if zizmor is None:
        pytest.skip("needs zizmor: pip install -e '.[dev]'")
    command = [zizmor, "--offline", "--pedantic", "--no-progress", str(ROOT / ".github")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("vendor.github-workflows", ".github/workflows/*.yml"),
        ("vendor.github-issue-forms", ".github/ISSUE_TEMPLATE/[!c]*.yml"),
        ("vendor.github-issue-config", ".github/ISSUE_TEMPLATE/config.yml"),
        ("vendor.dependabot", ".github/dependabot.yml"),
        ("vendor.citation-file-format", "CITATION.cff"),
        ("custom.github-workflows-require-timeout", ".github/workflows/*.yml"),
    ],
)
def test_each_file_keeps_its_schema(name, pattern):
    files = sorted(ROOT.glob(pattern))
    assert files
    schema(name, *files)


def test_every_action_is_pinned_by_its_commit_beside_its_version():
    for path in WORKFLOWS:
        for line in path.read_text().splitlines():
            assert "uses:" not in line or PINNED.match(line), f"{path.name}: {line}"


def test_one_action_has_one_version_everywhere():
    uses = set(re.findall(r"uses: (\S+ # \S+)", "".join(path.read_text() for path in WORKFLOWS)))
    assert len(uses) == len({each.partition("@")[0] for each in uses})


def test_no_workflow_has_more_rights_than_a_job_says():
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text())
        assert workflow["permissions"] == {}, path
        for name, job in workflow["jobs"].items():
            assert "permissions" in job, (path, name)


def test_the_tests_of_a_workflow_are_there():
    named = re.findall(r"\btests/[\w/.]+", "".join(path.read_text() for path in WORKFLOWS))
    assert len(named) > 5
    assert all((ROOT / name).exists() for name in named)


def test_every_supported_python_is_tested_on_every_system():
    jobs = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text())["jobs"]
    versions = ["3.10", "3.11", "3.12", "3.13"]
    assert jobs["test"]["strategy"]["matrix"] == {"os": ["ubuntu", "macos"], "python": versions}
    assert jobs["windows"]["strategy"]["matrix"] == {"python": versions}
    assert f'requires-python = ">={versions[0]}"' in (ROOT / "pyproject.toml").read_text()


def test_the_citation_has_the_version():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == rnnexp.__version__
