import pytest

from tuneworthy.project import Project
from tuneworthy.records import Case, Example
from tuneworthy.suite.build import write_cases
from tuneworthy.usecase import load

USECASE = """
name = "letters"
instruction = "Name the department that answers this letter."
[input.letter]
[output]
kind = "label"
labels = ["billing", "shipping"]
max_tokens = 8
[bar]
metric = "classification"
at_least = 0.8
smallest_difference = 0.05
[[scorers]]
name = "exact"
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "usecase.toml").write_text(USECASE, "utf-8")
    return Project(tmp_path)


@pytest.fixture
def edited(project):
    """The use case after a replacement in usecase.toml."""

    def edit(old, new):
        assert old in USECASE
        project.usecase_file.write_text(USECASE.replace(old, new), "utf-8")
        return load(project.usecase_file)

    return edit


@pytest.fixture
def cases():
    return tuple(
        Case(id=f"case-{i:02}", input={"letter": f"letter number {i}"}, expected=("billing", "shipping")[i % 2])
        for i in range(30)
    )


@pytest.fixture
def on_disk(project, cases):
    write_cases(project.cases_file, cases)
    return project.cases_file


@pytest.fixture
def rows():
    """200 rows: three quarters billing, one quarter shipping; every second pair of rows is a cluster of two."""
    return [
        Example(input={"letter": f"text {i}"}, expected="shipping" if i % 8 in (2, 3) else "billing")
        for i in range(200)
    ]
