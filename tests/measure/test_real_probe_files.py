"""BLiMP and LAMBADA as they are published, read and judged: the same as plain transformers says, item for item."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tuneworthy.measure import probe_files
from tuneworthy.models.local import open_local
from tuneworthy.models.local.files import POCKET, resolve
from tuneworthy.usecase import Hardware, ModelChoice

SHARED = Path(__file__).parents[3] / "shared"
BLIMP, LAMBADA = SHARED / "data" / "blimp" / "data", SHARED / "data" / "lambada" / "lambada_test.jsonl"
STORIES = SHARED / "models" / "stories260K"

blimp = pytest.mark.skipif(not BLIMP.is_dir(), reason="the files of BLiMP are not in ../shared/data/blimp")
lambada = pytest.mark.skipif(not LAMBADA.is_file(), reason="LAMBADA is not in ../shared/data/lambada")
stories = pytest.mark.skipif(not STORIES.is_dir(), reason="stories260K is not in ../shared/models")


@pytest.fixture(autouse=True)
def _quick_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuneworthy.content.os.fsync", lambda file: None)


@blimp
def test_every_published_file_of_minimal_pairs_is_read() -> None:
    files = [probe_files.read(path, seed=0) for path in sorted(BLIMP.glob("*.jsonl"))]
    assert (len(files), {file.form for file in files}) == (67, {"BLiMP"})
    assert sum(file.of + file.equal for file in files) == 67_000
    assert {file.name: file.equal for file in files if file.equal} == {
        "passive_1.jsonl": 2,
        "principle_A_case_2.jsonl": 5,
    }
    assert all(file.kinds[0] == Path(file.name).stem for file in files)


@lambada
def test_every_published_passage_is_read() -> None:
    file = probe_files.read(LAMBADA, seed=0)
    assert (file.form, file.of, len(file.items)) == ("LAMBADA", 5153, 500)
    texts = {json.loads(line)["text"].strip() for line in LAMBADA.read_text("utf-8").split("\n") if line}
    assert all(item.text + item.word in texts and len(item.word.split()) == 1 for item in file.items)


@blimp
@lambada
@pytest.mark.parametrize("name", [POCKET, pytest.param("stories260K", marks=stories)])
def test_right_and_wrong_are_what_plain_transformers_says(tmp_path: Path, name: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = resolve(ModelChoice(base=POCKET), tmp_path) if name == POCKET else with_template(tmp_path)
    network, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)

    def logprobs(text: str) -> tuple[torch.Tensor, torch.Tensor]:
        ids = torch.tensor([tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False).input_ids])
        with torch.no_grad():
            return network(ids[None]).logits[0, :-1].log_softmax(-1), ids[1:]

    def likelihood(text: str) -> float:
        logp, ids = logprobs(text)
        return logp.gather(1, ids[:, None]).sum().item()

    def last_word_is_likeliest(text: str) -> bool:
        logp, ids = logprobs(text)
        said = len(tokenizer(text[: -len(text.split()[-1])].rstrip(), add_special_tokens=False).input_ids)
        return bool((logp.argmax(-1)[said:] == ids[said:]).all())

    model = open_local(ModelChoice(base=str(folder)), hardware=Hardware(), folder=tmp_path)
    pairs = probe_files.read(first(BLIMP / "determiner_noun_agreement_1.jsonl", 24, tmp_path), seed=0)
    found = probe_files.probe(model, pairs, tmp_path / "answers")
    assert found == tuple(likelihood(pair.good) > likelihood(pair.bad) for pair in pairs.items)
    assert 0 < sum(found) < 24
    passages = probe_files.read(easy(first(LAMBADA, 20, tmp_path), network, tokenizer), seed=0)
    found = probe_files.probe(model, passages, tmp_path / "answers")
    assert found == tuple(last_word_is_likeliest(item.text + item.word) for item in passages.items)
    assert 0 < sum(found) < len(found)


def first(path: Path, n: int, there: Path) -> Path:
    """The first lines of a file, as a user's own file."""
    copy = there / path.name
    copy.write_text("".join(path.read_text("utf-8").splitlines(keepends=True)[:n]), "utf-8")
    return copy


def easy(path: Path, network: object, tokenizer: object) -> Path:
    """The same passages, and four whose last word is what the model itself writes: small models know no other."""
    import torch

    rows = [json.loads(line)["text"] for line in path.read_text("utf-8").splitlines()]
    for text in rows[:4]:
        ids = [tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False).input_ids]  # type: ignore[attr-defined]
        for _ in range(6):
            with torch.no_grad():
                ids.append(int(network(torch.tensor([ids])).logits[0, -1].argmax()))  # type: ignore[operator]
        written = tokenizer.decode(ids[1:])  # type: ignore[attr-defined]
        rows.append(written[: len(written.rstrip()) - len(written.split()[-1])].rstrip())  # the last one may be half
    path.write_text("".join(f"{json.dumps({'text': row})}\n" for row in rows), "utf-8")
    return path


def with_template(folder: Path) -> Path:
    """stories260K knows no chat; the probes of likelihood never use the template that every base must have."""
    there = folder / "stories"
    there.mkdir()
    for file in STORIES.iterdir():
        (there / file.name).write_bytes(file.read_bytes())
    (there / "chat_template.jinja").write_text("{{ bos_token }}{% for m in messages %}{{ m.content }}\n{% endfor %}")
    return there
