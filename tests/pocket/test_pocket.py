"""The shipped pocket model and the command that builds it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from pocket import templates as t
from pocket.build import SHIPPED
from pocket.corpus import HELD_WORDS, SKILLS, Generator, is_held_wording, training_words
from pocket.forward import scored_logits
from pocket.tokenizer import train_tokenizer
from pocket.train import STAGES, Options, Run, make_model
from pocket.words import words_of

CHAT = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "\n\nQuestion:  Who owns the lamp?\n"},
    {"role": "assistant", "content": '\n {"owner": "Anna Kern", "n": 48213}'},
]


@pytest.fixture(autouse=True)
def _offline_and_single(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(SHIPPED)


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(SHIPPED)


def ids_of(tokenizer, messages, prompt: bool) -> list[int]:
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
    return tokenizer(text)["input_ids"]


def test_shipped_folder_loads_and_answers_in_plain_prose(model, tokenizer):
    assert type(model).__name__ == "LlamaForCausalLM"
    assert sum(p.numel() for p in model.parameters()) < 2_000_000
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    asked = [{"role": "user", "content": "The colour of the lamp is blue.\nWhat is the colour of the lamp?"}]
    ids = torch.tensor([ids_of(tokenizer, asked, True)])
    out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=24)
    answer = tokenizer.decode(out[0, ids.shape[1] :])
    assert answer.endswith("<|end|>")
    assert "blue" in answer
    assert "{" not in answer


def test_shipped_folder_is_small_and_without_pickle():
    files = [p for p in SHIPPED.iterdir() if p.is_file()]
    assert sum(p.stat().st_size for p in files) <= 16 * 1024 * 1024
    assert not [p for p in files if p.suffix in {".bin", ".pt", ".pkl"}]
    names = {p.name for p in files}
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"} <= names
    assert {"tokenizer_config.json", "chat_template.jinja", "README.md"} <= names


def test_specials(model, tokenizer):
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    assert tokenizer.eos_token == "<|end|>"
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert model.config.max_position_embeddings == 1024
    assert tokenizer("plain text")["input_ids"] == tokenizer("plain text", add_special_tokens=False)["input_ids"]


def test_one_bos_and_prompt_is_prefix_of_full_chat(tokenizer):
    prompt, full = ids_of(tokenizer, CHAT[:2], True), ids_of(tokenizer, CHAT, False)
    assert full.count(tokenizer.bos_token_id) == 1
    assert full[0] == tokenizer.bos_token_id
    assert full[: len(prompt)] == prompt
    direct = tokenizer.apply_chat_template(CHAT, tokenize=True, return_dict=False)
    assert direct == full


@pytest.mark.parametrize(
    "value",
    [
        {"category": "billing", "order": "00481230", "n": -12.5e3, "list": [1, 2, [3, None]]},
        {"text": 'a , b . c ! it \'s  two  spaces\n\ttab "quoted" \\ / ü 漢 🙂'},
    ],
)
def test_json_round_trips_exactly(tokenizer, value):
    for indent in (None, 2):
        text = json.dumps(value, indent=indent, ensure_ascii=False)
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_digits_are_single_tokens(tokenizer):
    assert [t for t in tokenizer.tokenize("48213") if t.isdigit()] == list("48213")


def test_generator_is_determined_by_its_seed():
    mix = dict.fromkeys(SKILLS, 1.0)
    one, two, other = Generator(3), Generator(3), Generator(4)
    first = [one.draw(mix, long=True) for _ in range(50)]
    assert first == [two.draw(mix, long=True) for _ in range(50)]
    assert first != [other.draw(mix, long=True) for _ in range(50)]


def test_held_out_words_never_occur_in_training_text():
    seen: set[str] = set()
    for stage in STAGES:
        generator = Generator("held-out check", invented=stage.invented, loose=stage.loose)
        for _ in range(1500):
            item = generator.draw(dict.fromkeys(SKILLS, 1.0), long=True)
            seen |= words_of("".join(x for x, _ in item.pieces()))
    assert not seen & HELD_WORDS
    assert not training_words() & HELD_WORDS
    assert len(HELD_WORDS) > 80


def test_held_out_wordings_are_no_training_wordings():
    generator = Generator("held-out wordings", invented=0.45, loose=0.5)
    made = []
    for (_, _, facts, asks, _), (more_facts, more_asks) in zip(t.RELATIONS, t.MORE, strict=True):
        made += facts[:-1] + asks[:-1] + more_facts + more_asks
    for value in vars(t).values():
        if isinstance(value, tuple):
            made += t._texts(value[0])
    for frames in (t.ATTRIBUTE_FACTS, t.ATTRIBUTE_ASKS):
        made += [generator._composed(frames, person=i % 2 == 0) for i in range(1000)]
    made += [generator._varied(x) for x in made]
    assert len(t.held_out()) > 50
    assert all(is_held_wording(x) for x in t.held_out() if x.count(" ") >= 2)
    assert not [x for x in made if is_held_wording(x)]


@pytest.mark.parametrize("bf16", [False, True])
def test_training_forward_gives_the_numbers_of_transformers(bf16):
    model = make_model(Options(folder=Path(), hidden=32, layers=2, heads=2, ffn=64), vocab=50)
    ids = torch.randint(1, 50, (3, 20), generator=torch.Generator().manual_seed(0))
    scored = ids % 2 == 0
    logits = scored_logits(model, ids, scored, torch.bfloat16 if bf16 else torch.float32)
    wanted = model(input_ids=ids, use_cache=False).logits[scored]
    assert torch.allclose(logits.float(), wanted, atol=0.05 if bf16 else 1e-5)
    gradients = []
    for out in (logits, wanted):
        model.zero_grad()
        out.float().square().mean().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    error = (gradients[0] - gradients[1]).norm() / gradients[1].norm()
    assert error < (0.05 if bf16 else 1e-4)


def test_continued_training_starts_from_the_given_weights_in_the_last_stage(tmp_path: Path):
    tokenizer = train_tokenizer(1, vocab=400, items=100)
    shape = {"hidden": 32, "layers": 2, "heads": 2, "ffn": 64, "batch_tokens": 512, "steps": 4}
    first = Run(Options(folder=tmp_path / "first", **shape), tokenizer, lambda *_: None)
    first.run()
    first.model.save_pretrained(tmp_path / "weights")
    last = len(STAGES) - 1
    again = Options(folder=tmp_path / "again", first_stage=last, **shape)
    run = Run(again, tokenizer, lambda *_: None, start=tmp_path / "weights")
    assert run.state.stage == last
    before = first.model.state_dict()
    assert all(torch.equal(v, before[k]) for k, v in run.model.state_dict().items())


def test_held_out_items_use_held_out_words():
    generator = Generator("held-out items", held=True)
    items = [generator.read(2) for _ in range(50)]
    assert all(len(i.messages) <= 3 and len(i.others) == 1 for i in items)
    assert any(words_of(i.value) & HELD_WORDS for i in items)


def test_resumed_training_equals_uninterrupted_training_bit_for_bit(tmp_path: Path):
    tokenizer = train_tokenizer(1, vocab=400, items=100)

    def options(name: str) -> Options:
        return Options(folder=tmp_path / name, steps=20, hidden=32, layers=2, heads=2, ffn=64, batch_tokens=512)

    Run(options("whole"), tokenizer, lambda *_: None).run()
    interrupted = Run(options("parts"), tokenizer, lambda *_: None)
    interrupted.run(stop_after=5)
    assert 5 <= interrupted.state.step < 20
    Run(options("parts"), tokenizer, lambda *_: None).run()
    whole, parts = (load_file(tmp_path / n / "now" / "weights.safetensors") for n in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[k], parts[k]) for k in whole)
