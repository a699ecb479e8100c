"""Documentation that cannot rot: generated pages are up to date, named commands exist, links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer.main

from tuneworthy.cli import app

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.md")])
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["memory.md", "usecase.md", "cli.md", "verdict-json.md"])
def test_generated_pages_are_up_to_date(name: str) -> None:
    assert (ROOT / "docs" / "reference" / name).read_text("utf-8") == generator().pages()[name], "run: make docs"


def commands(text: str) -> Iterator[list[str]]:
    """The words of every `tuneworthy …` and `make …` that a page tells the reader to type."""
    typed = r"`((?:tuneworthy|make) [^`\n]+)`|^ {0,4}\$? ?((?:tuneworthy|make) .+)$"
    for line in re.findall(typed, text, re.MULTILINE):
        yield next(part for part in line if part).split()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    group: Any = typer.main.get_command(app)
    for words in commands(page.read_text("utf-8")):
        if words[0] == "make":
            assert set(words[1:2]) <= TARGETS, f"{page.name}: {' '.join(words)}"
            continue
        command = group
        for word in words[1:]:
            if word.startswith("--"):
                known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
                assert word.split("=")[0] in known | {"--help"}, f"{page.name}: {' '.join(words)}"
            elif hasattr(command, "commands"):
                assert word in command.commands, f"{page.name}: {' '.join(words)}"
                command = command.commands[word]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_lock_file_names_exact_versions_of_every_dependency_that_make_installs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = (ROOT / "requirements.lock").read_text("utf-8").splitlines()
    pinned = {re.split("==", line)[0].lower().replace("_", "-") for line in lines if "==" in line}
    installed = re.search(r"'\.\[(.+?)\]'", lines[1])
    assert installed
    extras = installed[1].split(",")  # inspect and mlflow are heavy, and stay with who wants them
    wanted = [*project["dependencies"], *(d for extra in extras for d in project["optional-dependencies"][extra])]
    names = {re.split(r"[<>=!\[; ]", dependency)[0].lower() for dependency in wanted}
    assert names <= pinned
    assert "torch==2.13.0" in lines


def test_every_test_that_the_page_on_statistics_names_exists() -> None:
    root = Path(__file__).parents[1]
    named = set(re.findall(r"`(test_\w+)`", (root / "docs" / "concepts" / "statistics.md").read_text("utf-8")))
    written = {
        name
        for path in (root / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text("utf-8"))
    }
    assert len(named) > 30
    assert named <= written, sorted(named - written)
