"""An export loads elsewhere, and is called equal only after it answered the suite like its release."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from released import released, scripted_project, tiny_project
from weights import plain_answer, plain_network

from tiny import tiny_tokenizer
from tuneworthy import service
from tuneworthy.errors import GateRefused, ModelError, TuneworthyError
from tuneworthy.models import llama_cpp
from tuneworthy.models.local.files import silent_peft
from tuneworthy.models.open import open_model
from tuneworthy.records import Decoding, Message, Request
from tuneworthy.release import gguf_file, merged, modelfile
from tuneworthy.release.export import Export

POCKET = Path(service.__file__).parent / "models" / "pocket"


@pytest.fixture(scope="module", autouse=True)
def _offline():
    with pytest.MonkeyPatch.context() as patch, silent_peft():
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setattr("tuneworthy.content.os.fsync", lambda file: None)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(project, release) of the pocket model with a random adapter."""
    there = tmp_path_factory.mktemp("exported") / "small"
    project = tiny_project(there, base=POCKET)
    return project, released(project, trained=True)


def test_a_merged_export_is_measured_and_plain_transformers_answers_with_it_as_the_release(made, tmp_path):
    from transformers import AutoTokenizer

    project, release = made
    found, folder = service.export(project.folder, "", "merged", out=tmp_path / "out")
    assert found.state == "equal", found.why
    assert (found.measured.n, found.measured.same) == (40, 40)
    assert found.measured.exported == found.measured.released
    assert Export.model_validate_json((folder / "export.json").read_bytes()) == found
    assert not list(folder.rglob("adapter_*"))
    network, tokenizer = plain_network(folder), AutoTokenizer.from_pretrained(folder)
    answerer = release.answerer(open_model(release.usecase, project.folder))
    for case in release.cases[:4]:
        request = answerer.request(case.input, ())
        assert plain_answer(network, tokenizer, request) == answerer.answer([case.input])[0].text
    with pytest.raises(GateRefused, match="there already"):
        service.export(project.folder, "", "merged", out=folder)


def test_a_merge_with_another_scale_is_not_called_equal(made, tmp_path, monkeypatch):
    whole = merged.adapter_at
    monkeypatch.setattr(merged, "adapter_at", lambda path, scale: whole(path, 0.5 * scale))
    found, _ = service.export(made[0].folder, "", "merged", out=tmp_path / "out")
    assert found.state == "differs"
    assert found.measured.same < 40
    assert len(found.measured.different) == 40 - found.measured.same


def test_what_has_no_weights_is_not_exported_and_nothing_is_left_behind(tmp_path):
    project = scripted_project(tmp_path / "small")
    released(project, trained=False)
    with pytest.raises(GateRefused, match="no weights"):
        service.export(project.folder, "", "merged", out=None)
    with pytest.raises(TuneworthyError, match="merged, gguf, ollama"):
        service.export(project.folder, "", "onnx", out=None)
    assert not project.exports.exists()


def test_an_export_that_fails_leaves_nothing_behind(made, tmp_path, monkeypatch):
    monkeypatch.setattr(gguf_file, "CUTTING", {})
    with pytest.raises(ModelError, match="cuts text by Split and Digits and ByteLevel cannot be written"):
        service.export(made[0].folder, "", "gguf", out=tmp_path / "there" / "out")
    assert list((tmp_path / "there").iterdir()) == []


def test_tensors_read_back_from_gguf_are_those_of_the_model(tmp_path):
    gguf = pytest.importorskip("gguf")
    from safetensors.numpy import load_file

    gguf_file.write(POCKET, tmp_path / "model.gguf", name="pocket")
    read = {tensor.name: tensor.data for tensor in gguf.GGUFReader(tmp_path / "model.gguf").tensors}
    held = load_file(POCKET / "model.safetensors")
    assert len(read) == len(held)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 5)
    for key, weight in held.items():
        found = read[names.get_name(key, try_suffixes=(".weight",))]
        if ".q_proj" in key or ".k_proj" in key:  # pairs of neighbours back to halves: 4 heads of 32
            found = found.reshape(4, 16, 2, 128).swapaxes(1, 2).reshape(128, 128)
        np.testing.assert_array_equal(found, weight.astype(np.float32))


def test_transformers_reads_the_gguf_as_the_same_model(made, tmp_path):
    """A second reader, which knows nothing of how this file was written."""
    pytest.importorskip("gguf")
    import torch
    from transformers import AutoModelForCausalLM

    base = service.export(made[0].folder, "", "merged", out=tmp_path / "merged")[1]
    gguf_file.write(base, tmp_path / "model.gguf", name="tiny")
    network = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="model.gguf", dtype=torch.float32).eval()
    ids = torch.arange(400)[None]
    with torch.inference_mode():
        torch.testing.assert_close(network(ids).logits, plain_network(base)(ids).logits, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not llama_cpp.at_hand(), reason="llama.cpp is not installed (extra gguf)")
def test_llama_cpp_answers_with_the_gguf_as_the_release(made, tmp_path):
    found, folder = service.export(made[0].folder, "", "ollama", out=tmp_path / "out")
    assert found.measured.engine.startswith("llama.cpp")
    assert found.measured.same >= 38, found.why  # random weights: two likeliest tokens can be as likely
    assert (found.state == "equal") == (found.measured.same == 40)
    told = (folder / "Modelfile").read_text("utf-8")
    assert "FROM ./model.gguf" in told
    assert 'PARAMETER stop "<|end|>"' in told


def test_without_llama_cpp_a_gguf_is_not_measured(made, tmp_path, monkeypatch):
    pytest.importorskip("gguf")
    monkeypatch.setattr(llama_cpp, "at_hand", lambda: False)
    found, _ = service.export(made[0].folder, "", "gguf", out=tmp_path / "out")
    assert (found.state, found.measured) == ("not measured", None)
    assert "tuneworthy[gguf]" in found.why


SCALED = {"rope_parameters": {"rope_type": "llama3", "rope_theta": 1.0}}


@pytest.mark.parametrize("change", [{"model_type": "gpt2"}, SCALED])
def test_what_would_be_read_otherwise_is_refused(tmp_path, change):
    pytest.importorskip("gguf")
    folder = shutil.copytree(POCKET, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, **change}), "utf-8")
    with pytest.raises(ModelError, match="cannot be written as GGUF"):
        gguf_file.write(folder, tmp_path / "model.gguf", name="x")
    assert not (tmp_path / "model.gguf").exists()


TEMPLATES = {
    "turns": "{{ bos_token }}{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}",
    "own system": "{% if messages[0].role != 'system' %}<s>Be kind.</s>{% endif %}{% for m in messages %}"
    "<{{ m.role }}>{{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}",
    "no system": "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no') }}{% endif %}"
    "[{{ m.role }}]{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}",
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_taken_apart_into_pieces_that_render_the_same(name):
    turns = modelfile.taken_apart(tiny_tokenizer(TEMPLATES[name]))
    assert set(turns.around) == ({"system", "user", "assistant"} if name == "turns" else {"user", "assistant"})
    assert turns.go().count("{{ .Content }}") == len(turns.around)
    with pytest.raises(ModelError) if name != "turns" else pytest.MonkeyPatch.context():
        modelfile.taken_apart(tiny_tokenizer(TEMPLATES[name]), with_system=True)


@pytest.mark.parametrize(
    "template",
    [
        TEMPLATES["turns"].replace("{{ m.content }}", "{{ m.content | trim | upper }}"),
        TEMPLATES["turns"].replace("{{ m.content }}", "{{ loop.index }}{{ m.content }}"),
        TEMPLATES["turns"].replace("<|start|>", '"""'),
        "{{ messages[-1].content }}",
    ],
)
def test_a_template_that_does_more_is_refused(template):
    with pytest.raises(ModelError, match="Modelfile"):
        modelfile.taken_apart(tiny_tokenizer(template))


def test_the_merged_model_is_asked_through_the_same_template(made):
    project, release = made
    model = open_model(release.usecase, project.folder)
    turns = modelfile.taken_apart(model.tokenizer)
    messages = [Message(role="user", content="the pipe")]
    assert turns.render([m.model_dump() for m in messages]) == model.rendered(messages)
    assert model.complete([Request(messages=tuple(messages), decoding=Decoding(max_tokens=4))])[0].error is None
