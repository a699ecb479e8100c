"""`eval --probe` of the base alone, as a person runs it: published probe files, and an example that teaches facts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from small import USECASE, small_usecase
from tuneworthy.cli import main
from tuneworthy.measure.probes import Beforehand

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
BLIMP, LAMBADA = SHARED / "data" / "blimp" / "data", SHARED / "data" / "lambada" / "lambada_test.jsonl"
STORIES = SHARED / "models" / "stories260K"

pytestmark = pytest.mark.slow


def tuneworthy(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["tuneworthy", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.skipif(not (BLIMP.is_dir() and LAMBADA.is_file()), reason="BLiMP and LAMBADA are not in ../shared/data")
@pytest.mark.parametrize("base", ["pocket", "stories260K"])
def test_the_base_alone_on_published_files(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Minimal pairs of all 67 kinds in one file. That right is right: test_real_probe_files.py."""
    if base != "pocket":
        if not STORIES.is_dir():
            pytest.skip("stories260K is not in ../shared/models")
        shutil.copytree(STORIES, tmp_path / base, copy_function=shutil.copyfile)
        (tmp_path / base).chmod(0o755)
        template = "{{ bos_token }}{% for m in messages %}{{ m.content }}\n{% endfor %}"
        (tmp_path / base / "chat_template.jinja").write_text(template)
    small_usecase(tmp_path, usecase=USECASE.replace('"scripted"', f'"{base}"'))
    probes = tmp_path / "probes"
    probes.mkdir()
    pairs = "".join(path.read_text("utf-8") for path in sorted(BLIMP.glob("*.jsonl")))
    (probes / "blimp.jsonl").write_text(pairs, "utf-8")
    (probes / "lambada.jsonl").write_text(LAMBADA.read_text("utf-8"), "utf-8")
    assert tuneworthy(monkeypatch, "eval", str(tmp_path), "--probe", "files", "--lever", "prompt", "--json") == 0
    out, told = capsys.readouterr()
    print(told)
    found = Beforehand.model_validate(json.loads(out)).files
    assert found is not None
    blimp, lambada = found["blimp.jsonl"], found["lambada.jsonl"]
    assert (blimp.form, blimp.n, blimp.items, blimp.equal) == ("BLiMP", 500, 66_993, 7)
    assert (lambada.form, lambada.n, lambada.items) == ("LAMBADA", 500, 5153)
    assert "66,993" in told
    assert "chance is 50 %" in told


def test_answers_that_are_facts_are_found_before_training_and_the_gate_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody told the pocket model of the 24 plans; with their documents at hand the gate only says so."""
    there = tmp_path / "policy-answers"
    shutil.copytree(ROOT / "examples" / "policy-answers", there, ignore=shutil.ignore_patterns(".tuneworthy"))
    assert tuneworthy(monkeypatch, "eval", str(there), "--probe", "unknown") == 0
    told = capsys.readouterr().out
    print(told)
    assert "the base, before anything is trained" in told
    assert not (there / ".tuneworthy" / "adapters").exists()
    tuneworthy(monkeypatch, "check", str(there))
    gates = " ".join(capsys.readouterr().out.split())
    print(gates)
    assert "in 12 tries the base never gave" in gates
    assert "the documents have to give them" in gates
