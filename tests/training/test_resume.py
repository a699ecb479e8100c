"""A17: a killed training continues as if it had not been killed, and refuses to continue as something else."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from toys import toy_rows

from tuneworthy.content import file_digest
from tuneworthy.errors import TrainingError
from tuneworthy.training import checkpoints
from tuneworthy.training.checkpoints import checkpoint_folder
from tuneworthy.training.loop import train
from tuneworthy.training.network import open_base
from tuneworthy.training.recipe import Recipe
from tuneworthy.training.tokens import encode

RECIPE = Recipe(
    learning_rate=1e-2, epochs=6, batch_size=4, checkpoint_every=1, r=4, dropout=0.1, max_length=128, patience=9
)
HERE = Path(__file__).parent
SCRIPT = """
import sys, time
from pathlib import Path
sys.path[:0] = [{tests!r}, {here!r}]
from test_resume import RECIPE
from toys import toy_rows
from tuneworthy.training.loop import train
from tuneworthy.training.network import open_base
from tuneworthy.training.tokens import encode

base = open_base(Path(sys.argv[1]))
encoded = encode(base.tokenizer, toy_rows(8), 128, stop_ids=base.stop_ids)
train(base, RECIPE, encoded, Path(sys.argv[2]), evaluate=lambda step: (step / 100, 0.001),
      on_progress=lambda progress: time.sleep(0.2))
"""


def scores(step):
    return step / 100, 0.001


def stop_after(steps):
    def progress(told):
        if told.step == steps:
            raise KeyboardInterrupt

    return progress


def test_kill_9_and_the_same_command_end_in_the_same_bits(base, base_folder, encoded, tmp_path):
    whole = train(base, RECIPE, encoded, tmp_path / "whole", evaluate=scores)
    out = tmp_path / "killed"
    script = SCRIPT.format(tests=str(HERE.parent), here=str(HERE))
    process = subprocess.Popen([sys.executable, "-c", script, str(base_folder), str(out)], env={**os.environ})
    deadline = time.monotonic() + 60
    while not checkpoint_folder(out, 4).is_dir():
        assert process.poll() is None, "the training ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (out / "training.json").exists()
    continued = train(base, RECIPE, encoded, out, evaluate=scores)
    assert continued.weights == whole.weights
    assert file_digest(out / "adapter_model.safetensors") == file_digest(tmp_path / "whole/adapter_model.safetensors")
    assert (continued.losses, continued.history) == (whole.losses, whole.history)
    assert (continued.tokens, continued.chosen) == (whole.tokens, whole.chosen)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_interrupted_anywhere_the_weights_are_the_same(base_folder, encoded, tmp_path, method, monkeypatch):
    monkeypatch.setattr("tuneworthy.training.run.SAVE_SECONDS", 0.0)  # a checkpoint after every step
    recipe = RECIPE.model_copy(update={"method": method, "learning_rate": 3e-3})
    whole = train(open_base(base_folder), recipe, encoded, tmp_path / "whole")
    for steps in (1, 5, 6):
        with pytest.raises(KeyboardInterrupt):
            train(open_base(base_folder), recipe, encoded, tmp_path / "cut", on_progress=stop_after(steps))
    assert train(open_base(base_folder), recipe, encoded, tmp_path / "cut").weights == whole.weights


def test_a_share_continues_to_the_whole(base, encoded, tmp_path):
    whole = train(base, RECIPE, encoded, tmp_path / "whole")
    screened = train(base, RECIPE, encoded, tmp_path / "screened", share=0.3)
    assert (screened.stopped, screened.steps) == ("share", 4)
    assert train(base, RECIPE, encoded, tmp_path / "screened", share=0.2) == screened
    assert train(base, RECIPE, encoded, tmp_path / "screened").weights == whole.weights


def test_a_finished_training_is_returned_without_work(base, encoded, tmp_path):
    first = train(base, RECIPE, encoded, tmp_path)
    told = []
    assert train(base, RECIPE, encoded, tmp_path, on_progress=told.append) == first
    assert told == []


def test_killed_between_checkpoint_and_score_the_score_is_measured_once(base, encoded, tmp_path):
    def killed(step):
        if step == 4:
            raise KeyboardInterrupt
        return scores(step)

    with pytest.raises(KeyboardInterrupt):
        train(base, RECIPE, encoded, tmp_path, evaluate=killed)
    asked = []
    done = train(base, RECIPE, encoded, tmp_path, evaluate=lambda step: asked.append(step) or scores(step))
    assert asked == [4, 6, 8, 10, 12]
    assert [point.step for point in done.history] == [2, 4, 6, 8, 10, 12]


@pytest.fixture
def begun(base, encoded, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(base, RECIPE, encoded, tmp_path, on_progress=stop_after(3))
    assert checkpoint_folder(tmp_path, 2).is_dir()
    return tmp_path


def test_other_data_is_refused(base, begun):
    other = encode(base.tokenizer, toy_rows(9), 128, stop_ids=base.stop_ids)
    with pytest.raises(TrainingError, match="another training; changed: data"):
        train(base, RECIPE, other, begun)


def test_another_recipe_is_refused_and_the_change_is_named(base, encoded, begun):
    with pytest.raises(TrainingError, match=r"recipe.learning_rate: 0.01 → 0.02"):
        train(base, RECIPE.model_copy(update={"learning_rate": 0.02}), encoded, begun)


def test_another_library_version_is_refused(base, encoded, begun, monkeypatch):
    monkeypatch.setattr("peft.__version__", "99.0")
    with pytest.raises(TrainingError, match=r"versions.peft: .* → 99.0"):
        train(base, RECIPE, encoded, begun)


def test_a_finished_training_that_was_moved_is_found_where_it_lies_now(base, encoded, tmp_path):
    train(base, RECIPE, encoded, tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    assert train(base, RECIPE, encoded, tmp_path / "there").folder == str(tmp_path / "there")


def test_another_training_in_a_finished_folder_is_refused(base, encoded, tmp_path):
    train(base, RECIPE, encoded, tmp_path)
    with pytest.raises(TrainingError, match=r"recipe\.seed"):
        train(base, RECIPE.model_copy(update={"seed": 7}), encoded, tmp_path)


def test_changed_weights_in_a_finished_folder_are_noticed(base, encoded, tmp_path):
    train(base, RECIPE, encoded, tmp_path)
    path = tmp_path / "adapter_model.safetensors"
    save_file({name: weight + 1 for name, weight in load_file(path).items()}, path)
    with pytest.raises(TrainingError, match="not those that were trained"):
        train(base, RECIPE, encoded, tmp_path)


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "optimizer.safetensors"])
def test_missing_keys_are_refused(base, encoded, begun, name):
    folder = checkpoint_folder(begun, 2)
    held = load_file(folder / name)
    held.pop(next(key for key in sorted(held) if "lora_A" in key))
    save_file(held, folder / name)
    state = json.loads((folder / "state.json").read_text())
    state["files"][name] = file_digest(folder / name)
    (folder / "state.json").write_text(json.dumps(state))
    with pytest.raises(TrainingError, match="1 tensors are missing"):
        train(base, RECIPE, encoded, begun)


def test_a_damaged_checkpoint_is_refused(base, encoded, begun):
    path = checkpoint_folder(begun, 2) / "optimizer.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(TrainingError, match=r"optimizer.safetensors is missing or not as it was written"):
        train(base, RECIPE, encoded, begun)
    shutil.rmtree(begun / "checkpoints")
    assert train(base, RECIPE, encoded, begun).stopped == "finished"


def test_a_half_written_checkpoint_does_not_count(base, encoded, begun, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", fail)
    with pytest.raises(checkpoints.StorageError, match="disk is full"):
        train(base, RECIPE, encoded, begun)
    monkeypatch.undo()
    assert [path.name for path in (begun / "checkpoints").iterdir()] == ["checkpoint-2"]
    assert train(base, RECIPE, encoded, begun).stopped == "finished"
