"""The five silent failures of the handbook, with real weights: each is refused, and the reason says which check saw it.

Hashes find most of them first. Where they would hide what is tested here they are switched off, as in an engine that
has none: behaviour has to tell.
"""

import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).parent))

from gatewayed import ask, gateway, settled, wait
from released import released, tiny_project
from weights import opened, write_adapter

from tuneworthy import service
from tuneworthy.models.local import adapters, decoding
from tuneworthy.models.local.files import silent_peft
from tuneworthy.models.local.model import LocalModel
from tuneworthy.project import open_project
from tuneworthy.release import merged, package, verify
from tuneworthy.serving import deployments


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("tuneworthy.content.os.fsync", lambda file: None)
    with silent_peft():
        yield


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A project with a release of a tiny Llama with an adapter."""
    with pytest.MonkeyPatch.context() as patch, silent_peft():
        patch.setattr("tuneworthy.content.os.fsync", lambda file: None)
        project = tiny_project(tmp_path_factory.mktemp("faults") / "small")
        released(project, trained=True)
    return project


@pytest.fixture
def made(first, tmp_path):
    """(project, release): a copy to spoil."""
    project = open_project(shutil.copytree(first.folder, tmp_path / "small"))
    return project, package.find(project, "")


@pytest.fixture
def without_hashes(made, monkeypatch):
    """No hash is compared any more: not of the files, not of the weights, not of the base model."""
    candidate = made[1].manifest.candidate
    monkeypatch.setattr(verify, "problems", lambda release, base=None: [])
    monkeypatch.setattr("tuneworthy.answering.weights_digest", lambda folder: candidate.adapter.weights)
    monkeypatch.setattr("tuneworthy.models.local.model._Weights.digest", candidate.model)


def asked_for(project, release, seconds=120):
    """What the gate said to a release: (action, reason); when it refuses, nobody is answered."""
    service.deploy(project.folder, release.name, alias="champion", why="")
    with gateway(project) as (_, url):
        wait(lambda: deployments.read(project)[-1].action in ("live", "refused"), seconds)
        status = ask(url, "the pipe").status_code
    entry = deployments.read(project)[-1]
    assert status == (200 if entry.action == "live" else 503)
    return entry.action, entry.why


def change(path, how):
    save_file({name: how(name, weight) for name, weight in load_file(path).items()}, path, {"format": "pt"})


@pytest.mark.parametrize("fault", ["zeroed", "another"])
def test_an_adapter_with_other_weights_is_refused(made, without_hashes, fault):
    project, release = made
    folder = release.folder / "adapter"
    if fault == "zeroed":
        change(folder / "adapter_model.safetensors", lambda name, weight: torch.zeros_like(weight))
    else:
        shutil.rmtree(folder)
        write_adapter(project.folder / "base", folder, seed=5)
    action, why = asked_for(project, release)
    assert action == "refused"
    assert ("the trained weights act: 16 of 16" in why) == (fault == "zeroed")
    assert "answers as recorded: 0 of 16" in why


def rename_modules(release):
    path = release.folder / "adapter" / "adapter_model.safetensors"
    renamed = {n.replace("base_model.model.", "base_model.model.lm."): w for n, w in load_file(path).items()}
    save_file(renamed, path, {"format": "pt"})


def test_without_hashes_and_without_a_fault_the_gate_lets_it_through(made, without_hashes):
    assert asked_for(*made)[0] == "live"


def test_wrong_module_names_are_refused_by_the_engine(made, without_hashes):
    rename_modules(made[1])
    action, why = asked_for(*made)
    assert action == "refused"
    assert "the adapter is not effective: its weights do not match the base model" in why


def test_wrong_module_names_are_refused_by_the_gate_where_an_engine_drops_them_in_silence(
    made, without_hashes, monkeypatch
):
    """vllm#34186: the adapter is accepted and listed, and the base model answers."""

    class Accepting(adapters.Adapters):
        def _put_in(self, adapter):
            from peft import LoraConfig, PeftModel, set_peft_model_state_dict

            config = LoraConfig.from_pretrained(adapter.path, inference_mode=True)
            self._peft = PeftModel(self._network, config, adapter.name)
            set_peft_model_state_dict(self._peft, load_file(adapter.path / adapters.WEIGHTS), adapter.name)
            self._peft.eval()

    monkeypatch.setattr("tuneworthy.models.local.model.Adapters", Accepting)
    rename_modules(made[1])
    action, why = asked_for(*made)
    assert action == "refused"
    assert "the trained weights act: 16 of 16 answers are those of the untrained model" in why


@pytest.mark.parametrize("names", ["used again", "with the digest"])
def test_a_stale_prefix_cache_after_a_reload_under_the_same_name_is_refused(made, monkeypatch, names):
    """vllm#42125: the cache of a shared beginning is kept by the adapter's name, and the name was used again."""
    project, before = made
    shutil.rmtree(project.adapters / "one")
    write_adapter(project.folder / "base", project.adapters / "one", seed=5)
    after = released(project, trained=True)
    read, kept = decoding.read_shared, {}

    def cached(network, prompts, **settings):
        """What an engine with a lasting cache does: what prompts share is looked up by a name and its tokens."""
        name = "champion" if names == "used again" else float(sum(w.double().sum() for w in network.parameters()))
        rows = read(network, prompts, **settings)
        for row, prompt in zip(rows, prompts, strict=True):
            for piece in row.shared.way if row.shared else ():
                piece.kept = kept.setdefault((name, *prompt[: piece.end]), piece.kept)
        return rows

    monkeypatch.setattr(decoding, "read_shared", cached)
    service.deploy(project.folder, before.name, alias="champion", why="")
    with gateway(project) as (_, url):
        assert settled(project) == before.name
        service.deploy(project.folder, after.name, alias="champion", why="")
        wait(lambda: deployments.read(project)[-1].release == after.name, 5)
        wait(lambda: deployments.read(project)[-1].action != "asked", 120)
        answering = ask(url, "the pipe").json()["model"]
    entry = deployments.read(project)[-1]
    if names == "used again":
        assert (entry.action, answering) == ("refused", before.name)
        assert "answers as recorded: " in entry.why
    else:
        assert (entry.action, answering) == ("live", after.name)


def test_another_chat_template_is_refused(made, without_hashes):
    template = made[0].folder / "base" / "chat_template.jinja"
    template.write_text(template.read_text("utf-8").replace("<|end|>\n", "<|end|>"), "utf-8")
    action, why = asked_for(*made)
    assert action == "refused"
    assert "prompt as recorded: another prompt or chat template is in use" in why


def int8(name, weight):
    """Rounded to 8 bits per output channel, as quantisation does, and written back."""
    if weight.ndim != 2:
        return weight
    step = weight.abs().amax(dim=1, keepdim=True) / 127
    return (weight / step).round() * step


def test_a_quantised_base_is_refused(made, without_hashes):
    change(made[0].folder / "base" / "model.safetensors", int8)
    action, why = asked_for(*made)
    assert action == "refused"
    assert "doubt as recorded: log-probabilities of 16 unsure answers differ by" in why


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_an_engine_that_serves_a_merged_export_with_another_scale_is_refused(made, tmp_path, monkeypatch, scale):
    """LLaMA-Factory#10596 and others: merged and served, it answers otherwise than base and adapter."""
    project, release = made
    right = merged.adapter_at
    with monkeypatch.context() as wrong:
        wrong.setattr(merged, "adapter_at", lambda path, held: right(path, scale * held))
        found, folder = service.export(project.folder, "", "merged", out=tmp_path / "merged")
    assert found.state == ("equal" if scale == 1.0 else "differs")
    exported = opened(folder)
    monkeypatch.setattr(LocalModel, "with_adapter", lambda model, path, scale=1.0: exported)
    action, why = asked_for(project, release)
    assert action == ("live" if scale == 1.0 else "refused")
    assert ("answers as recorded: " in why) == (scale != 1.0)
