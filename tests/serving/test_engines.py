"""Engines elsewhere, against a stand-in that speaks vLLM's endpoints over real sockets and fails as engines fail.

The stand-in answers with real weights: a tiny model and its adapter, by the same code as offline.
"""

import json
import shutil
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))

from gatewayed import ask, gateway, wait
from released import SIGNS, released, scripted_project, tiny_project
from weights import write_adapter

from benchmarks.stub_engine import StubEngine
from tuneworthy import service
from tuneworthy.errors import ModelError
from tuneworthy.models.local.files import silent_peft
from tuneworthy.models.open import open_model
from tuneworthy.project import open_project
from tuneworthy.records import Message, Request
from tuneworthy.release import package
from tuneworthy.serving import deployments, llama_cpp, vllm
from tuneworthy.serving.engines import EngineAway, EngineChoice, Started, adapter_name
from tuneworthy.serving.gateway import Limits


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("tuneworthy.content.os.fsync", lambda file: None)
    with silent_peft():
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a trained release, and how its base, with and without the adapter, answers."""
    with pytest.MonkeyPatch.context() as patch, silent_peft():
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setattr("tuneworthy.content.os.fsync", lambda file: None)
        project = tiny_project(tmp_path_factory.mktemp("made") / "small")
        release = released(project, trained=True)
        return project, release.name, open_model(release.usecase, project.folder)


@pytest.fixture
def project(made, tmp_path):
    shutil.copytree(made[0].folder, tmp_path / "small")
    return open_project(tmp_path / "small")


@pytest.fixture
def release(made, project):
    return package.find(project, made[1])


@pytest.fixture
def engine(made, release):
    """vLLM as it would be attached."""
    model = made[2]

    def turns(messages):
        return tuple(Message(**message) for message in messages)

    def speak(path, messages):
        asked = model.with_adapter(Path(path)) if path else model
        decoding = release.manifest.candidate.decoding
        return asked.complete([Request(messages=turns(messages), decoding=decoding)])[0].text

    stub = StubEngine(speak, base="the-base", write=lambda messages: model.rendered(turns(messages))).start()
    yield stub
    stub.stop()


def choice(engine, name="vllm", **more):
    return EngineChoice(name, engine.url, "the-base", seconds=5, **more)


def last(project):
    return deployments.read(project)[-1]


def deployed(project, release):
    service.deploy(project.folder, release.name, alias="champion", why="")
    return release


def test_a_release_on_an_attached_vllm_passes_the_gate_by_its_answers_alone(project, release, engine):
    deployed(project, release)
    with gateway(project, engine=choice(engine)) as (_, url):
        wait(lambda: last(project).action in ("live", "refused"))
        assert last(project).action == "live", last(project).why
        states = {check.what: check.state for check in last(project).checks}
        case = release.cases[0]
        assert ask(url, json.dumps(case.input)).status_code == 200
    assert states["log-probabilities as recorded"] == "not measured"
    assert states["prompt as recorded"] == "passed"  # by /tokenize and /detokenize
    assert states["the trained weights act"] == "passed"
    path = release.folder / "adapter"
    assert engine.loads == [{"lora_name": adapter_name(path), "lora_path": str(path.resolve())}]
    assert adapter_name(path).startswith("tw-")


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ("base_answers", "answers are those of the untrained model"),
        ("garbage", "answers as recorded"),
        ("template", "another prompt or chat template"),
        ("no_runtime", "does not load adapters while it runs"),
        ("other_base", "does not serve 'the-base'"),
    ],
)
def test_an_engine_that_is_not_what_was_measured_is_refused(project, release, engine, fault, word):
    if fault in ("base_answers", "garbage"):
        engine.mode = fault
    elif fault == "template":
        engine.write = lambda messages: "<s>" + messages[-1]["content"]
    elif fault == "no_runtime":
        engine.runtime = False
    else:
        engine.base = "another"
    deployed(project, release)
    with gateway(project, engine=choice(engine)) as (_, url):
        wait(lambda: last(project).action == "refused")
        assert word in last(project).why
        assert ask(url, "the pipe").status_code == 503


def test_one_name_never_means_two_adapters_so_a_stale_cache_has_nothing_to_mix_up(project, release, engine, tmp_path):
    """The failure itself, with one name for both: the second adapter is loaded and the first one answers."""
    engine.stale_cache = True
    second = tmp_path / "second"
    write_adapter(project.folder / "base", second, seed=7)
    first = release.folder / "adapter"
    opened = vllm.Vllm(choice(engine), project)
    messages = [{"role": "user", "content": "a shared prefix, the pipe"}]
    spoken = {path: engine.speak(str(path), messages) for path in (first, second)}
    assert spoken[first] != spoken[second]
    request = Request(messages=(Message(**messages[0]),), decoding=release.manifest.candidate.decoding)
    for path in (first, second):
        opened.post("/v1/load_lora_adapter", {"lora_name": "same", "lora_path": str(path), "load_inplace": True})
        assert opened.endpoint("same").complete([request])[0].text == spoken[first]  # the second time it is wrong
    for path in (first, second):
        name = opened.put_in(path)
        assert opened.endpoint(name).complete([request])[0].text == spoken[path]
    assert adapter_name(first) != adapter_name(second)
    loads = len(engine.loads)
    assert opened.put_in(second) == adapter_name(second)
    assert len(engine.loads) == loads  # what is there is not loaded again
    assert not any(load.get("load_inplace") for load in engine.loads[2:])


def test_an_engine_that_goes_away_is_waited_for_and_proved_again(project, release, engine):
    deployed(project, release)
    with gateway(project, engine=choice(engine), limits=Limits(seconds=5)) as (server, url):
        wait(lambda: last(project).action == "live")
        engine.mode = "error"
        replies = [ask(url, "the pipe") for _ in range(5)]
        assert {reply.status_code for reply in replies} == {502, 503}
        assert replies[-1].headers["retry-after"] == "1"
        assert "away" in replies[-1].json()["error"]["message"]
        engine.adapters.clear()  # it was started again, without what had been put in
        engine.mode = ""
        wait(lambda: ask(url, "the pipe").status_code == 200)
        assert adapter_name(release.folder / "adapter") in engine.adapters
        engine.mode = "error"
        wait(lambda: ask(url, "the pipe").status_code == 503)
        engine.mode = "base_answers"
        wait(lambda: last(project).action == "refused")
        assert "after its engine was away: the trained weights act" in last(project).why
        assert server.gateway.routes == {}


def test_a_gateway_that_starts_before_its_engine_keeps_what_was_live(project, release, engine):
    deployed(project, release)
    engine.mode = "hang"
    with gateway(project, engine=choice(engine)) as (_, url):
        time.sleep(1)
        assert ask(url, "the pipe").status_code == 503
        assert last(project).action == "asked"
        engine.mode = ""
        engine.released.set()
        wait(lambda: last(project).action == "live")
        assert ask(url, json.dumps(release.cases[0].input)).status_code == 200


def test_any_url_serves_prompts_and_trained_weights_only_by_their_name(tmp_path, project, release, engine):
    deployed(project, release)
    with gateway(project, engine=choice(engine, "openai_compatible")):
        wait(lambda: last(project).action == "refused")
        assert f"does not serve '{adapter_name(release.folder / 'adapter')}'" in last(project).why
    small = scripted_project(tmp_path / "plain")
    deployed(small, released(small, trained=False))

    def word(path, messages):
        return next(label for sign, label in SIGNS.items() if sign in messages[-1]["content"])

    plain = StubEngine(word, base="the-base").start()
    try:
        with gateway(small, engine=choice(plain, "openai_compatible")) as (_, url):
            wait(lambda: last(small).action == "live")
            assert ask(url, "the fuse").json()["choices"][0]["message"]["content"] == "power"
    finally:
        plain.stop()


def test_an_engine_elsewhere_is_refused_where_nothing_may_leave_the_house(project):
    with pytest.raises(ModelError, match="not a host of your own network"):
        vllm.Vllm(EngineChoice("vllm", "https://gpu.example.com/v1"), project)


def test_the_command_line_of_vllm(project, release):
    command = vllm.command(project, 8123)
    identity = release.manifest.base.identity[:16]
    assert command == (
        "vllm", "serve", str((project.folder / "base").resolve()), "--served-model-name", f"base-{identity}",
        "--host", "127.0.0.1", "--port", "8123", "--dtype", "auto", "--seed", "0",
        "--enable-lora", "--max-loras", "2", "--max-lora-rank", "8",
    )  # fmt: skip
    started = vllm.Vllm(EngineChoice("vllm"), project)
    assert started._started.environment == {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True"}
    with pytest.raises(ModelError, match="vllm is not installed"):
        started.open(release)


@pytest.mark.parametrize(("rank", "room"), [(1, "8"), (8, "8"), (9, "16"), (300, "320")])
def test_the_room_for_adapters(rank, room):
    assert vllm._room(rank) == room
    with pytest.raises(ModelError, match="up to rank 512"):
        vllm._room(513)


def test_the_command_line_of_llama_cpp(project, release, tmp_path):
    file = tmp_path / "model.gguf"
    with pytest.raises(ModelError, match="needs a GGUF file"):
        llama_cpp.LlamaCpp(EngineChoice("llama_cpp", gguf=file), project)
    file.write_bytes(b"GGUF and more")
    name = llama_cpp.gguf_name(file)
    assert llama_cpp.command(file, name, 9000) == (
        "llama-server", "--model", str(file), "--alias", name, "--host", "127.0.0.1", "--port", "9000",
        "--ctx-size", "16384", "--parallel", "4", "--seed", "0", "--jinja",
    )  # fmt: skip
    with pytest.raises(ModelError, match="llama-server is not installed"):
        llama_cpp.LlamaCpp(EngineChoice("llama_cpp", gguf=file), project).open(release)


def test_what_is_started_is_ended_and_started_again_where_it_died(tmp_path):
    started = Started((sys.executable, "-c", "import time; time.sleep(60)"))
    started.run(tmp_path / "log")
    first = started.process
    started.run(tmp_path / "log")
    assert started.process is first
    first.kill()
    first.wait()
    started.run(tmp_path / "log")
    assert started.process is not first
    started.stop()
    assert started.process.poll() is not None


def test_an_engine_that_says_nonsense_is_away(project, engine):
    opened = vllm.Vllm(choice(engine), project)
    engine.base = "the-base"
    engine.get = lambda to: to.send_error(500)
    with pytest.raises(EngineAway):
        opened.served()
    assert not opened.alive()
