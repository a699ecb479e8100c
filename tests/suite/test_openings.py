"""The logs of registrations and openings can only grow, and show it when they were touched."""

import json
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuneworthy import chain
from tuneworthy.content import digest
from tuneworthy.errors import LogEdited
from tuneworthy.suite import openings


@pytest.fixture
def file(tmp_path):
    return tmp_path / "suite" / "openings.jsonl"


def look(file, digest, *, arm="lora", contrast="lora against few_shot", lock="L1"):
    return openings.open_cases(file, lock_digest=lock, arm=arm, arm_digest=digest, contrast=contrast)


def register(file, **changes):
    content = {"lock_digest": "L1", "reference": "few_shot", "contrasts": ["a", "b"], "n": 40}
    openings.register(file, **{**content, "settings": {"power": 0.8}, **changes})


def test_the_first_look_is_not_exploratory_and_stands_in_the_log(file):
    opening = look(file, "d1")
    assert not opening.exploratory
    assert [(line["arm"], line["arm_digest"], line["lock"]) for line in openings.read(file)] == [("lora", "d1", "L1")]


def test_the_same_candidate_again_is_the_same_look(file):
    assert look(file, "d1") == look(file, "d1")
    assert len(openings.read(file)) == 1


@pytest.mark.parametrize(
    ("second", "exploratory"),
    [
        ({"digest": "d2"}, True),
        ({"digest": "d2", "contrast": "lora against prompt"}, True),
        ({"digest": "d2", "arm": "lora/other-name"}, True),
        ({"digest": "d2", "lock": "L2"}, False),
        ({"digest": "d2", "arm": "rag", "contrast": "rag against prompt"}, False),
    ],
)
def test_another_candidate_in_an_opened_arm_or_contrast_is_exploratory(file, second, exploratory):
    look(file, "d1")
    assert look(file, **second).exploratory is exploratory


def test_a_look_stays_what_it_was(file):
    look(file, "d1")
    look(file, "d2")
    assert not look(file, "d1").exploratory
    assert look(file, "d2").exploratory
    assert len(openings.read(file)) == 2


def test_a_registration_is_written_once(file):
    register(file)
    register(file)
    register(file, contrasts=["b", "a"])
    lines = openings.read(file)
    assert [line["contrasts"] for line in lines] == [["a", "b"], ["b", "a"]]
    assert lines[0]["settings"] == {"power": 0.8}
    assert lines[0]["at"].endswith("+00:00")


def written(file, count=4):
    for number in range(count):
        look(file, f"d{number}", arm=f"arm {number}", contrast=f"arm {number} against prompt")
    return file.read_text("utf-8").splitlines()


@pytest.mark.parametrize("number", range(4))
def test_an_edited_line_is_named(file, number):
    lines = written(file)
    lines[number] = lines[number].replace('"exploratory": false', '"exploratory": true')
    file.write_text("\n".join(lines) + "\n", "utf-8")
    for attempt in (openings.read, lambda path: look(path, "d9")):
        with pytest.raises(LogEdited) as refused:
            attempt(file)
        assert refused.value.where == f"{file}:{number + 1}"


@pytest.mark.parametrize("number", range(3))
def test_a_removed_swapped_or_unreadable_line_breaks_the_chain(file, number):
    lines = written(file)
    swapped = [*lines[:number], lines[number + 1], lines[number], *lines[number + 2 :]]
    for left in (lines[:number] + lines[number + 1 :], swapped, [*lines[:number], "{", *lines[number + 1 :]]):
        file.write_text("\n".join(left) + "\n", "utf-8")
        with pytest.raises(LogEdited, match="chain breaks"):
            openings.read(file)


def test_a_line_whose_hash_was_recomputed_breaks_the_next_one(file):
    lines = written(file)
    forged = json.loads(lines[1])
    forged["arm_digest"] = "better"
    forged["hash"] = digest({key: value for key, value in forged.items() if key != "hash"})
    file.write_text("\n".join([lines[0], json.dumps(forged), *lines[2:]]) + "\n", "utf-8")
    with pytest.raises(LogEdited) as refused:
        openings.read(file)
    assert refused.value.where == f"{file}:3"


@given(cut=st.integers(1, 10_000), settings_=st.dictionaries(st.text("ab{}\"'", max_size=5), st.text(max_size=5)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_a_line_torn_by_a_kill_is_passed_over_and_told(file, cut, settings_):
    file.unlink(missing_ok=True)
    register(file)
    first = file.read_bytes()
    register(file, settings={"nested": settings_})
    whole = file.read_bytes()
    left = whole[: len(first) + cut % (len(whole) - len(first) - 1)]  # at most all but the closing brace
    file.write_bytes(left)
    assert len(openings.read(file)) == 1
    register(file, n=41)
    lines = openings.read(file)
    assert [line["n"] for line in lines] == [40, 41]
    assert lines[1].get("torn") == ([2] if left != first else None)
    register(file, n=42)
    assert "torn" not in openings.read(file)[2]


def test_a_line_that_lacks_only_its_end_is_whole(file):
    register(file)
    file.write_bytes(file.read_bytes().rstrip(b"\n"))
    register(file, n=41)
    assert [line["n"] for line in openings.read(file)] == [40, 41]


def test_two_processes_that_write_at_once_keep_one_chain(tmp_path):
    """The gateway and the command line write to the same deployment log."""
    path = tmp_path / "log.jsonl"
    code = "import sys; from pathlib import Path; from tuneworthy import chain\n"
    code += "for n in range(40): chain.append(Path(sys.argv[1]), {'by': sys.argv[2], 'n': n})"
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), name]) for name in ("one", "two", "three")]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert len(chain.read(path)) == 120
