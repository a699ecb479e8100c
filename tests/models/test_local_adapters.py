"""Adapters are views: right for each, the base as it was, and nothing answers under a name that it has not earned."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from safetensors.torch import load_file, save_file
from weights import (
    LONG,
    QUESTIONS,
    ask,
    labels,
    opened,
    plain_answer,
    plain_network,
    texts,
    with_plain_peft,
    write_adapter,
)

from tiny import tiny_model
from tuneworthy.errors import ModelError
from tuneworthy.models.local import adapters as adapters_
from tuneworthy.models.local.adapters import KEPT_ADAPTERS

REQUESTS = [ask(question, system=LONG) for question in QUESTIONS[:4]]


@pytest.fixture(scope="module")
def adapters(base_folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("adapters")
    return [
        write_adapter(base_folder, root / str(seed), seed=seed, r=1 + seed % 3) for seed in range(KEPT_ADAPTERS + 2)
    ]


@pytest.fixture(scope="module")
def answers(base_folder, adapters):
    """What plain peft says with each adapter, and the base without one (last)."""
    networks = [*(with_plain_peft(base_folder, path) for path in adapters), plain_network(base_folder)]
    tokenizer = opened(base_folder).tokenizer
    return [[plain_answer(network, tokenizer, request) for request in REQUESTS] for network in networks]


@pytest.fixture(params=["merged", "beside"])
def model(base_folder, request, monkeypatch):
    """Adapters merged for the time of asking, or computing beside the base as in bfloat16: the same is true of both."""
    if request.param == "beside":
        monkeypatch.setattr(adapters_, "MERGED_BYTES", 0)
    return opened(base_folder)


def held(model):
    """Names of the adapters in memory, the latest used last."""
    there = model._weights.adapters
    return [name for name, _ in there.merged] or there.names


def changed(adapter, folder, *, weights=lambda held: held, **settings):
    """A copy of an adapter with other weights or settings."""
    shutil.copytree(adapter, folder)
    save_file(weights(load_file(folder / "adapter_model.safetensors")), folder / "adapter_model.safetensors")
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    return folder


def test_a_view_answers_as_plain_peft_does_and_the_base_as_before(model, adapters, answers):
    assert texts(model, REQUESTS) == answers[-1]
    view = model.with_adapter(adapters[0])
    assert texts(view, REQUESTS) == answers[0] != answers[-1]
    assert texts(model, REQUESTS) == answers[-1]
    assert texts(view, REQUESTS) == answers[0]


def test_the_weights_of_the_base_stay_as_they_are(model, base_folder, adapters):
    for path in adapters[:3]:
        texts(model.with_adapter(path), REQUESTS[:1])
    wanted = plain_network(base_folder).state_dict()
    now = {name.replace(".base_layer", ""): weight for name, weight in model.network.state_dict().items()}
    assert all(torch.equal(now[name], weight) for name, weight in wanted.items())


def test_opening_a_view_loads_nothing_and_asks_nothing(model, adapters, monkeypatch):
    monkeypatch.setattr(model._weights.adapters, "_loaded", None)
    monkeypatch.setattr(model._weights.adapters, "_merged", None)
    view = model.with_adapter(adapters[0])
    assert view.count_tokens(REQUESTS[0].messages) == model.count_tokens(REQUESTS[0].messages)
    assert view.context == model.context


def test_labels_are_scored_and_enforced_with_the_adapter(model, base_folder, adapters):
    names = ("a", "ab", "b", "cab", "zz", "refund", "other")
    for how in ("score", "decode"):
        asked = [ask(question, constraint=labels(*names, how=how)) for question in QUESTIONS * 2]
        merged = opened(base_folder)
        merged._weights.network = with_plain_peft(base_folder, adapters[1]).merge_and_unload()
        assert texts(model.with_adapter(adapters[1]), asked) == texts(merged, asked)


def test_half_the_scale_differs_from_the_whole_and_no_scale_sticks(model, adapters, answers):
    whole, half, none = (model.with_adapter(adapters[0], scale) for scale in (1.0, 0.5, 0.0))
    assert texts(none, REQUESTS) == answers[-1]
    weakened = texts(half, REQUESTS)
    assert weakened not in (answers[0], answers[-1])
    assert texts(whole, REQUESTS) == answers[0]
    assert texts(half, REQUESTS) == weakened
    assert len({view.digest for view in (whole, half, none, model)}) == 4


def test_more_adapters_than_are_kept_stay_right_in_any_order(model, adapters, answers):
    views = [model.with_adapter(path) for path in adapters]
    last = len(views) - 1
    for number in (*range(len(views)), 0, 0, last, 1, *reversed(range(len(views))), 2, 3):
        assert texts(views[number], REQUESTS) == answers[number], number
        assert 1 <= len(held(model)) <= KEPT_ADAPTERS
        put_in = model._weights.adapters._peft
        assert set(put_in.peft_config if put_in else ()) == set(model._weights.adapters.names)
    assert texts(model, REQUESTS) == answers[-1]


def test_the_adapter_used_longest_ago_goes_first(model, adapters):
    views = [model.with_adapter(path) for path in adapters[: KEPT_ADAPTERS + 1]]
    for view in (*views[:KEPT_ADAPTERS], views[0], views[KEPT_ADAPTERS]):
        texts(view, REQUESTS[:1])
    kept = [view._adapter.name for view in (*views[2:KEPT_ADAPTERS], views[0], views[KEPT_ADAPTERS])]
    assert held(model) == kept


def test_views_asked_from_several_threads_take_turns(model, adapters, answers):
    views = [*(model.with_adapter(path) for path in adapters), model]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda view: texts(view, REQUESTS), views)) == answers


def test_the_same_weights_elsewhere_are_the_same_adapter(model, adapters, tmp_path):
    copy = shutil.copytree(adapters[0], tmp_path / "copy")
    assert model.with_adapter(copy).digest == model.with_adapter(adapters[0]).digest


def test_an_adapter_that_is_gone_from_the_disk_is_answered_from_memory(model, adapters, answers, tmp_path):
    view = model.with_adapter(shutil.copytree(adapters[0], tmp_path / "copy"))
    texts(view, REQUESTS[:1])
    shutil.rmtree(tmp_path / "copy")
    assert texts(view, REQUESTS) == answers[0]


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_folder_without_an_adapter_is_refused_at_once(model, adapters, tmp_path, name):
    copy = shutil.copytree(adapters[0], tmp_path / "copy")
    (copy / name).unlink()
    with pytest.raises(ModelError, match=f"lacks {name}") as refused:
        model.with_adapter(copy)
    assert refused.value.where == str(copy)


def first(held):
    return sorted(held)[0]


BAD = {
    "a weight is missing": {"weights": lambda held: {n: w for n, w in held.items() if n != first(held)}},
    "a weight is unknown": {
        "weights": lambda held: {**held, first(held).replace("layers.0", "layers.7"): held[first(held)].clone()}
    },
    "no weights": {"weights": lambda held: {}},
    "another rank": {"weights": lambda held: {name: weight.repeat(3, 1)[:3] for name, weight in held.items()}},
    "another width": {"weights": lambda held: {name: torch.nn.functional.pad(w, (0, 8)) for name, w in held.items()}},
    "weights of the base": {
        "weights": lambda held: {**held, "base_model.model.model.embed_tokens.weight": torch.zeros(260, 32)}
    },
    "other modules": {"target_modules": ["no_such_module"]},
    "more modules": {"target_modules": ["q_proj", "v_proj", "k_proj"]},
    "no rank": {"r": 0},
    "not LoRA": {"peft_type": "IA3"},
    "an unknown kind": {"peft_type": "NO_SUCH"},
    "no kind": {"peft_type": None},
    "starts from a changed base": {"init_lora_weights": "pissa"},
}


@pytest.mark.parametrize("after_another", [False, True])
@pytest.mark.parametrize("fault", BAD)
def test_an_adapter_that_does_not_fit_is_refused_and_leaves_nothing_behind(
    model, adapters, answers, tmp_path, fault, after_another
):
    if after_another:
        texts(model.with_adapter(adapters[0]), REQUESTS[:1])
    before = set(model.network.state_dict())
    bad = model.with_adapter(changed(adapters[1], tmp_path / "bad", **BAD[fault]))
    for _ in range(2):
        with pytest.raises(ModelError) as refused:
            bad.complete(REQUESTS)
        assert str(tmp_path / "bad") in refused.value.where
        assert refused.value.next
        assert after_another or set(model.network.state_dict()) == before
    assert texts(model, REQUESTS) == answers[-1]
    assert texts(model.with_adapter(adapters[2]), REQUESTS) == answers[2]


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_damaged_adapter_is_refused(model, adapters, answers, tmp_path, name):
    copy = shutil.copytree(adapters[0], tmp_path / "copy")
    (copy / name).write_bytes((copy / name).read_bytes()[:100])
    with pytest.raises(ModelError) as refused:
        model.with_adapter(copy).complete(REQUESTS)
    assert str(copy) in refused.value.where
    assert texts(model, REQUESTS) == answers[-1]


# --- merged ---


def test_merged_logits_are_those_of_plain_peft_and_the_base_is_exactly_itself_again(base_folder, adapters):
    model = opened(base_folder)
    ids = torch.tensor([[5, 9, 200, 31, 8]])
    own = {name: weight.clone() for name, weight in model.network.state_dict().items()}
    with torch.inference_mode():
        wanted = with_plain_peft(base_folder, adapters[2])(ids).logits
        view = model.with_adapter(adapters[2])
        with view._reading() as network:
            assert network is model.network
            torch.testing.assert_close(network(ids).logits, wanted, atol=1e-5, rtol=1e-5)
            with model._reading() as base:  # asked in between: without the adapter, and then with it again
                torch.testing.assert_close(base(ids).logits, plain_network(base_folder)(ids).logits, atol=0, rtol=0)
            torch.testing.assert_close(network(ids).logits, wanted, atol=1e-5, rtol=1e-5)
    assert all(torch.equal(own[name], weight) for name, weight in model.network.state_dict().items())


def test_a_failure_while_asking_leaves_the_base_as_it_was(base_folder, adapters, answers):
    model = opened(base_folder)
    with pytest.raises(RuntimeError, match="stop"), model.with_adapter(adapters[0])._reading():
        raise RuntimeError("stop")
    assert texts(model, REQUESTS) == answers[-1]


def test_bfloat16_and_dora_stay_beside(base_folder, adapters, tmp_path):
    halved = opened(base_folder, precision="bfloat16")
    texts(halved.with_adapter(adapters[0]), REQUESTS[:1])
    assert (halved._weights.adapters.merged, len(halved._weights.adapters.names)) == ({}, 1)
    dora = write_adapter(base_folder, tmp_path / "dora", seed=3, use_dora=True)
    model = opened(base_folder)
    plain = with_plain_peft(base_folder, dora)
    wanted = [plain_answer(plain, model.tokenizer, request) for request in REQUESTS]
    assert texts(model.with_adapter(dora), REQUESTS) == wanted
    assert model._weights.adapters.merged == {}
    assert texts(model.with_adapter(adapters[0]), REQUESTS) == answers_of(base_folder, adapters[0], model)
    assert texts(model.with_adapter(dora), REQUESTS) == wanted


def answers_of(base_folder, path, model):
    plain = with_plain_peft(base_folder, path)
    return [plain_answer(plain, model.tokenizer, request) for request in REQUESTS]


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")
def test_an_adapter_on_a_tied_head_changes_the_head_only(base_folder, tmp_path):
    path = write_adapter(base_folder, tmp_path / "head", targets=("lm_head", "o_proj"))
    model = opened(base_folder)
    assert model.network.config.tie_word_embeddings
    assert texts(model.with_adapter(path), REQUESTS) == answers_of(base_folder, path, model)
    assert list(model._weights.adapters.merged)
    assert model.network.lm_head.weight is model.network.model.embed_tokens.weight


# --- fully tuned ---


def test_a_fully_tuned_folder_answers_with_its_own_weights_and_the_tokens_of_the_base(
    model, adapters, answers, tmp_path
):
    folder = tiny_model(tmp_path / "tuned", seed=5)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (folder / name).unlink()
    tuned = model.with_weights(folder)
    plain = plain_network(folder)
    assert texts(tuned, REQUESTS) == [plain_answer(plain, model.tokenizer, request) for request in REQUESTS]
    assert texts(model, REQUESTS) == answers[-1] != texts(tuned, REQUESTS)
    assert tuned.digest != model.digest
    assert tuned.tokenizer is model.tokenizer
    assert texts(model.with_adapter(adapters[0]), REQUESTS) == answers[0]


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_an_incomplete_tuned_folder_is_refused(model, tmp_path, name):
    folder = tiny_model(tmp_path / "tuned")
    (folder / name).unlink()
    with pytest.raises(ModelError, match=name) as refused:
        model.with_weights(folder)
    assert str(folder) in refused.value.where
    assert refused.value.next


def test_a_tuned_folder_that_lacks_a_weight_is_refused(model, tmp_path):
    folder = tiny_model(tmp_path / "tuned")
    held = load_file(folder / "model.safetensors")
    lost = held.pop("model.layers.1.mlp.up_proj.weight")
    save_file(held, folder / "model.safetensors", metadata={"format": "pt"})
    assert lost.numel()
    with pytest.raises(ModelError, match=r"model\.layers\.1\.mlp\.up_proj\.weight"):
        model.with_weights(folder)
