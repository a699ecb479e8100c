"""A model folder is looked at before anything is loaded: what is wrong, in which file, and what to do."""

import json
import pickle
import shutil
import socket
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from weights import ask, opened, texts, write_adapter

from tiny import tiny_model
from tuneworthy.errors import ModelError, UnsafeModel
from tuneworthy.models.local import resolve, weights_bytes
from tuneworthy.models.local.files import POCKET, silent_transformers
from tuneworthy.usecase import ModelChoice

INDEX = "model.safetensors.index.json"


@pytest.fixture
def folder(base_folder, tmp_path):
    return shutil.copytree(base_folder, tmp_path / "model")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch, tmp_path):
    """Any connection fails the test, and the cache of the hub is an empty one."""

    def refuse(*arguments, **settings):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE")  # it must hold without being told


def refused(folder, kind=ModelError, **choice):
    """The error with which opening the folder ends; looking at the size of its weights ends with the same."""
    with pytest.raises(kind) as error:
        opened(folder, **choice)
    assert str(folder) in error.value.where
    assert error.value.next
    return error.value


def rewritten(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def in_shards(folder):
    """Split the weights into two files with an index, as large models are."""
    held = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    place = {name: f"model-0000{1 + n % 2}-of-00002.safetensors" for n, name in enumerate(sorted(held))}
    for file in set(place.values()):
        save_file({n: w for n, w in held.items() if place[n] == file}, folder / file, metadata={"format": "pt"})
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": place}))
    return folder


def as_pickle(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    assert f"lacks {name}" in refused(folder).what
    with pytest.raises(ModelError, match=f"lacks {name}"):
        weights_bytes(ModelChoice(base=str(folder)), folder)


def test_an_empty_folder_is_no_model(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "lacks config.json" in refused(tmp_path / "empty").what


def test_shards_are_read_and_a_missing_one_is_named(folder, local):
    in_shards(folder)
    assert texts(opened(folder), [ask("Hi")]) == texts(local, [ask("Hi")])
    (folder / "model-00002-of-00002.safetensors").unlink()
    assert "lacks model-00002-of-00002.safetensors" in refused(folder).what


@pytest.mark.parametrize("text", ["{}", '{"weight_map": []}', '{"weight_map": {"a": 1}}', "[]", '{"weight_map'])
def test_a_damaged_index_of_shards_is_named(folder, text):
    (in_shards(folder) / INDEX).write_text(text)
    assert refused(folder).where == str(folder / INDEX)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b'{"a": 1}}', b"[" * 100_000])
def test_a_file_that_is_no_json_object_is_named(folder, name, content):
    (folder / name).write_bytes(content)
    assert refused(folder).where == str(folder / name)


def test_a_file_that_is_json_but_makes_no_sense_is_explained(folder):
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    assert "cannot be loaded" in refused(folder).what


def test_a_kind_of_model_that_transformers_does_not_know_is_explained(folder):
    rewritten(folder / "config.json", model_type="no_such_model")
    assert "no_such_model" in refused(folder).what


@pytest.mark.parametrize("keep", [0, 5, 3000, -7])
def test_weights_that_are_cut_off_are_refused(folder, keep):
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:keep])
    assert "cannot be loaded" in refused(folder).what


def test_weights_that_lack_one_tensor_are_refused_not_filled_with_random_numbers(folder):
    held = load_file(folder / "model.safetensors")
    del held["model.norm.weight"]
    save_file(held, folder / "model.safetensors", metadata={"format": "pt"})
    assert "model.norm.weight" in refused(folder).what


def test_weights_of_another_shape_are_refused(folder):
    rewritten(folder / "config.json", intermediate_size=80)
    refused(folder)


# --- what could run code ---


class Bomb:
    def __reduce__(self):
        return (Path.write_text, (Path(self.path), "boom"))


def test_pickles_are_refused_unopened(folder, tmp_path):
    (folder / "model.safetensors").unlink()
    bomb = Bomb()
    bomb.path = str(tmp_path / "exploded")
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(bomb))
    error = refused(folder, UnsafeModel)
    assert "pytorch_model.bin" in error.what
    assert "allow_pickle" in error.next
    assert not (tmp_path / "exploded").exists()
    with pytest.raises(UnsafeModel):
        weights_bytes(ModelChoice(base=str(folder)), folder)


def test_pickles_are_read_where_the_use_case_allows_them(folder, local):
    model = opened(as_pickle(folder), allow_pickle=True)
    assert texts(model, [ask("Hi")]) == texts(local, [ask("Hi")])
    assert weights_bytes(ModelChoice(base=str(folder), allow_pickle=True), folder) > 10_000


def test_other_pickles_are_another_model(tmp_path):
    one, other = (opened(as_pickle(tiny_model(tmp_path / str(n), seed=n)), allow_pickle=True) for n in range(2))
    assert one.digest != other.digest


def test_safetensors_are_read_even_where_pickles_are_allowed(folder, local, tmp_path):
    bomb = Bomb()
    bomb.path = str(tmp_path / "exploded")
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(bomb))
    for allowed in (False, True):
        assert texts(opened(folder, allow_pickle=allowed), [ask("Hi")]) == texts(local, [ask("Hi")])
    assert not (tmp_path / "exploded").exists()


def test_allowing_pickles_does_not_make_weights(folder):
    (folder / "model.safetensors").unlink()
    (folder / "optimizer.bin").write_bytes(b"")
    assert "pickle" in refused(folder, UnsafeModel).what
    assert "lacks model.safetensors" in refused(folder, allow_pickle=True).what


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_code_that_comes_with_the_model_is_refused(folder, name, tmp_path):
    (folder / "own.py").write_text(f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).write_text('boom')\n")
    classes = {
        "AutoConfig": "own.Config",
        "AutoModelForCausalLM": "own.Model",
        "AutoTokenizer": ["own.Slow", "own.Fast"],
    }
    rewritten(folder / name, auto_map=classes)
    error = refused(folder, UnsafeModel)
    assert error.where == str(folder / name)
    assert "trust_remote_code" in error.next
    assert not (tmp_path / "ran").exists()


def test_an_adapter_among_the_files_of_the_base_is_refused(folder, base_folder, tmp_path):
    adapter = write_adapter(base_folder, tmp_path / "adapter")
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(adapter / name, folder / name)
    assert "adapter" in refused(folder).what


# --- the template ---


def test_no_chat_template_is_refused(folder):
    (folder / "chat_template.jinja").unlink()
    error = refused(folder)
    assert "no chat template" in error.what
    assert "instruct" in error.next


def test_a_chat_template_may_stand_in_the_settings_of_the_tokenizer(folder, local):
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").unlink()
    rewritten(folder / "tokenizer_config.json", chat_template=template)
    assert texts(opened(folder), [ask("Hi")]) == texts(local, [ask("Hi")])


# --- names ---


@pytest.mark.parametrize("changed", ["chat_template.jinja", "tokenizer_config.json", "generation_config.json"])
def test_the_digest_names_all_that_decides_an_answer(folder, local, changed):
    assert opened(folder).digest == local.digest
    (folder / "README.md").write_text("not an answer")
    assert opened(folder).digest == local.digest
    path = folder / changed
    path.write_text(path.read_text() + " ")
    assert opened(folder).digest != local.digest


def test_the_digest_names_weights_and_precision(base_folder, local, tmp_path):
    assert opened(tiny_model(tmp_path / "other", seed=1)).digest != local.digest
    assert opened(base_folder, precision="bfloat16").digest != local.digest
    assert opened(base_folder, precision="float32").digest == local.digest


# --- where it lies ---


def test_a_folder_is_found_beside_the_use_case_first(folder, monkeypatch):
    elsewhere = folder.parent / "elsewhere"
    (elsewhere / "model").mkdir(parents=True)
    monkeypatch.chdir(elsewhere)
    assert resolve(ModelChoice(base="model"), folder.parent) == folder.resolve()
    assert resolve(ModelChoice(base="model"), folder) == (elsewhere / "model").resolve()


def test_the_shipped_model_is_complete():
    path = resolve(ModelChoice(base=POCKET), Path("/nowhere"))
    assert weights_bytes(ModelChoice(base=POCKET), Path("/nowhere")) == (path / "model.safetensors").stat().st_size


@pytest.mark.parametrize("base", ["./nowhere", "/no/where", "~/no-such-folder-here", "../nowhere"])
def test_a_path_that_leads_nowhere_is_not_looked_up(base, tmp_path):
    with pytest.raises(ModelError, match="no such folder") as error:
        resolve(ModelChoice(base=base), tmp_path)
    assert "usecase.toml" in error.value.next
    assert error.value.where == base


@pytest.mark.parametrize("base", ["some/model", "model", "a/b/c", "with space/x", "größe/x"])
def test_a_name_of_the_hub_is_looked_up_on_this_machine_only(base, tmp_path):
    with pytest.raises(ModelError) as error:
        resolve(ModelChoice(base=base), tmp_path)
    assert error.value.next


def test_the_error_names_the_command_that_downloads(tmp_path):
    with pytest.raises(ModelError, match="local cache") as error:
        resolve(ModelChoice(base="some/model", revision="abc"), tmp_path)
    assert "hf download some/model --revision abc" in error.value.next


def test_a_model_in_the_local_cache_is_used(folder, tmp_path):
    commit = "a" * 40
    stored = tmp_path / "cache" / "models--some--model"
    shutil.copytree(folder, stored / "snapshots" / commit)
    (stored / "refs").mkdir()
    (stored / "refs" / "main").write_text(commit)
    for revision in ("", commit):
        assert resolve(ModelChoice(base="some/model", revision=revision), tmp_path) == stored / "snapshots" / commit


def test_there_is_no_cuda_device_here(base_folder, monkeypatch):
    from tuneworthy.models.local import open_local
    from tuneworthy.usecase import Hardware

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match="no CUDA device") as error:
        open_local(ModelChoice(base=str(base_folder)), hardware=Hardware(device="cuda"), folder=base_folder)
    assert error.value.next


# --- quiet ---


def test_loading_writes_nothing_to_the_terminal(base_folder, capfd):
    opened(base_folder)
    assert capfd.readouterr() == ("", "")


def test_progress_bars_are_as_they_were_afterwards():
    from transformers.utils import logging

    for shown in (True, False):
        logging.enable_progress_bar() if shown else logging.disable_progress_bar()
        with silent_transformers():
            assert not logging.is_progress_bar_enabled()
        assert logging.is_progress_bar_enabled() == shown
    logging.enable_progress_bar()


def test_looking_at_the_files_loads_no_torch(base_folder):
    import subprocess

    code = (
        "import sys; from pathlib import Path; from tuneworthy.usecase import ModelChoice;"
        "from tuneworthy.models.local import weights_bytes;"
        f"assert weights_bytes(ModelChoice(base={str(base_folder)!r}), Path('.')) > 0;"
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
