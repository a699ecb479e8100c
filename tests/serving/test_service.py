"""Into service and back: the gate, the log, keys, limits, and what a killed gateway leaves."""

import asyncio
import json
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from gatewayed import ask, gateway, settled, wait
from released import released, scripted_project, tiny_project

from tuneworthy import service
from tuneworthy.errors import GateRefused, LogEdited, ProjectBusy, TuneworthyError
from tuneworthy.models.local.files import silent_peft
from tuneworthy.models.scripted import open_scripted
from tuneworthy.release.fingerprint import Check
from tuneworthy.serving import deployments
from tuneworthy.serving.gateway import Limits
from tuneworthy.serving.server import Server, is_loopback
from tuneworthy.watch.traces import Keeping


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("tuneworthy.content.os.fsync", lambda file: None)
    with silent_peft():
        yield


@pytest.fixture
def project(tmp_path):
    return scripted_project(tmp_path / "small")


def last(project):
    return deployments.read(project)[-1]


def test_a_rollback_goes_to_the_release_before_and_takes_no_second(project):
    first, second = released(project, trained=False), released(project, trained=False)
    service.deploy(project.folder, first.name, alias="champion", why="the first")
    with gateway(project) as (_, url):
        assert settled(project) == first.name
        service.deploy(project.folder, second.name, alias="champion", why="the second")
        assert settled(project) == second.name
        started = time.monotonic()
        service.rollback(project.folder, alias="champion", why="complaints")
        wait(lambda: ask(url, "the pipe").json()["model"] == first.name)
        assert time.monotonic() - started < 5  # a quarter of a second on an idle machine
    log = service.history(project.folder)
    assert [(e.action, e.release) for e in log] == [
        ("asked", first.name),
        ("live", first.name),
        ("asked", second.name),
        ("live", second.name),
        ("rollback", first.name),
        ("live", first.name),
    ]
    assert log[-1].why == "complaints"
    assert deployments.live(log, log[3].at)["champion"] == second.name
    assert deployments.live(log, "2020-01-01T00:00:00") == {}


def test_a_gateway_that_starts_again_serves_what_was_live_and_works_off_what_was_asked(project):
    first, second = released(project, trained=False), released(project, trained=False)
    service.deploy(project.folder, first.name, alias="champion", why="")
    with gateway(project):
        assert settled(project) == first.name
    with gateway(project) as (_, url):
        wait(lambda: ask(url, "the pipe").status_code == 200)
        assert ask(url, "the pipe").json()["model"] == first.name
    service.deploy(project.folder, second.name, alias="champion", why="asked while nothing ran")
    with gateway(project) as (_, url):
        assert settled(project) == second.name


@pytest.mark.parametrize("kind", ["file", "base"])
def test_what_is_not_as_released_is_refused_and_what_was_live_stays(project, kind):
    good, bad = released(project, trained=False), released(project, trained=False)
    service.deploy(project.folder, good.name, alias="champion", why="")
    with gateway(project) as (_, url):
        assert settled(project) == good.name
        name = bad.name
        if kind == "file":
            (bad.folder / "cases.jsonl").write_text("", "utf-8")
        else:
            manifest = bad.manifest.model_copy(
                update={"base": bad.manifest.base.model_copy(update={"identity": "0" * 64})}
            )
            (bad.folder / "manifest.json").write_text(manifest.model_dump_json(), "utf-8")
            bad.folder.rename(bad.folder.with_name(manifest.name))
            name = manifest.name
        service.deploy(project.folder, name, alias="champion", why="")
        assert settled(project) == good.name
        assert last(project).action == "refused"
        assert {"file": "cases.jsonl was changed", "base": "another one"}[kind] in last(project).why
        assert ask(url, "the pipe").json()["model"] == good.name


def test_a_base_that_answers_otherwise_is_refused(project):
    """The scripted model changes behind an unchanged identity: only its answers tell."""
    release = released(project, trained=False)
    service.deploy(project.folder, release.name, alias="champion", why="")
    rules = project.folder / "scripted.json"
    rules.write_text(json.dumps({"": "keys"}), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tuneworthy.models.scripted.digest", lambda value: "same")
        with gateway(project) as (_, url):
            wait(lambda: last(project).action == "refused")
            assert ask(url, "the pipe").status_code == 503


@pytest.mark.parametrize("several", [True, False])
def test_what_stops_behaving_as_recorded_is_taken_out_and_the_release_before_answers(project, several):
    names = [released(project, trained=False).name for _ in range(1 + several)]
    with gateway(project, heartbeat=0.2) as (server, url):
        for name in names:
            service.deploy(project.folder, name, alias="champion", why="")
            assert settled(project) == name
        lane = server.gateway.lanes[names[-1]]
        lane.answerer.model._reply = lambda request: "keys"
        if several:  # both ask one model: the release before gets one that is whole
            server.gateway.lanes[names[0]].answerer.model = open_scripted(project.folder)
        wait(lambda: any(entry.action == "refused" for entry in deployments.read(project)))
        if several:
            wait(lambda: ask(url, "the pipe").json()["model"] == names[0])
            assert deployments.live(deployments.read(project)) == {"champion": names[0]}
        else:
            wait(lambda: ask(url, "the pipe").status_code == 503)
            assert deployments.live(deployments.read(project)) == {}
    refused = next(entry for entry in deployments.read(project) if entry.action == "refused")
    assert refused.why.startswith("heartbeat: answers as recorded")


def test_a_trained_release_answers_through_the_endpoint_as_offline(tmp_path):
    project = tiny_project(tmp_path / "small")
    release = released(project, trained=True, shots=True)
    from tuneworthy.models.open import open_model

    offline = release.answerer(open_model(release.usecase, project.folder)).answer([c.input for c in release.cases])
    service.deploy(project.folder, "", alias="champion", why="")
    with gateway(project) as (_, url):
        wait(lambda: last(project).action in ("live", "refused"), 120)
        assert last(project).action == "live", last(project).why
        assert {check.state for check in last(project).checks} == {"passed"}
        online = [ask(url, json.dumps(case.input)).json()["choices"][0]["message"]["content"] for case in release.cases]
    assert online == [answer.text for answer in offline]


def test_keys_are_wanted_once_there_are_some_and_worthless_once_taken_back(project):
    released(project, trained=False)
    service.deploy(project.folder, "", alias="champion", why="")
    key = service.new_key(project.folder, "ann", [])
    other = service.new_key(project.folder, "bob", ["challenger"])
    assert key not in project.keys_file.read_text("utf-8")
    assert project.keys_file.stat().st_mode & 0o077 == 0
    with gateway(project) as (_, url):
        assert settled(project)
        assert ask(url, "the pipe").status_code == 401
        assert ask(url, "the pipe", headers={"authorization": "Bearer tw-wrong"}).status_code == 401
        assert ask(url, "the pipe", headers={"authorization": f"Bearer {key}"}).status_code == 200
        refused = ask(url, "the pipe", headers={"authorization": f"Bearer {other}"})
        assert refused.status_code == 404
        assert "champion" not in refused.json()["error"]["message"].partition("known:")[2]
        service.take_back_key(project.folder, "ann")
        assert ask(url, "the pipe", headers={"authorization": f"Bearer {key}"}).status_code == 401
    with pytest.raises(TuneworthyError, match="no key called 'carl'"):
        service.take_back_key(project.folder, "carl")


def test_damaged_keys_let_nobody_in(project):
    released(project, trained=False)
    service.deploy(project.folder, "", alias="champion", why="")
    with gateway(project) as (_, url):
        assert settled(project)
        project.keys_file.write_text("{", "utf-8")
        assert ask(url, "the pipe").status_code == 503


def test_too_many_at_once_are_told_to_come_back(project):
    released(project, trained=False)
    service.deploy(project.folder, "", alias="champion", why="")
    with gateway(project, limits=Limits(waiting=0)) as (_, url):
        wait(lambda: last(project).action == "refused")  # the gate itself finds no room
        assert ask(url, "the pipe").status_code == 503
    service.deploy(project.folder, "", alias="champion", why="")
    key = service.new_key(project.folder, "ann", [])
    with gateway(project, limits=Limits(per_minute=2)) as (server, url):
        assert settled(project)
        headers = {"authorization": f"Bearer {key}"}
        assert [ask(url, "the pipe", headers=headers).status_code for _ in range(3)] == [200, 200, 429]
        next(iter(server.gateway.lanes.values())).room = 0
        key = service.new_key(project.folder, "bob", [])
        full = ask(url, "the pipe", headers={"authorization": f"Bearer {key}"})
        assert (full.status_code, full.headers["retry-after"]) == (429, "1")


def test_only_one_gateway_and_never_open_to_others_without_keys(project):
    released(project, trained=False)
    with pytest.raises(GateRefused, match="nothing to serve"):
        service.serve(project.folder, host="127.0.0.1", port=1, limits=Limits(), keeping=Keeping(), tell=print)
    service.deploy(project.folder, "", alias="champion", why="")
    with pytest.raises(GateRefused, match="other machines"):
        service.serve(project.folder, host="0.0.0.0", port=1, limits=Limits(), keeping=Keeping(), tell=print)
    with gateway(project), pytest.raises(ProjectBusy):
        Server(project, "127.0.0.1", 1, print, Limits()).run()
    assert [is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "10.0.0.1", "example.org")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip


def test_stopped_during_the_gate_the_wish_stands_until_the_next_start(project):
    release = released(project, trained=False)
    begun = threading.Event()
    with gateway(project) as (server, _):

        async def cut_off(name):
            begun.set()
            while not server._stopping:
                await asyncio.sleep(0.01)
            return [Check(what="suite", state="failed", found="All connection attempts failed")]

        server.loading.gated = cut_off
        service.deploy(project.folder, "", alias="champion", why="")
        assert begun.wait(20)
    assert [entry.action for entry in deployments.read(project)] == ["asked"]
    with gateway(project):
        assert settled(project) == release.name


def test_nothing_to_roll_back_to_is_said(project):
    released(project, trained=False)
    with pytest.raises(GateRefused, match="nothing is live"):
        service.rollback(project.folder, alias="champion", why="")


def test_an_edited_log_is_named(project):
    release = released(project, trained=False)
    for action in ("asked", "live"):
        deployments.write(project, "champion", action, release.name, why="")
    path = project.deployments_file
    path.write_text(path.read_text("utf-8").replace('"asked"', '"live"'), "utf-8")
    with pytest.raises(LogEdited):
        service.history(project.folder)


def test_every_prefix_of_the_log_is_a_state(project):
    """A process killed at any moment leaves a prefix, perhaps with a torn line."""
    first, second = "small--v0001-aaa", "small--v0002-bbb"
    for action, name in (
        ("asked", first),
        ("live", first),
        ("asked", second),
        ("refused", second),
        ("rollback", first),
    ):
        deployments.write(project, "champion", action, name, why="")
    whole = project.deployments_file.read_bytes()
    for cut in range(0, len(whole), 7):
        project.deployments_file.write_bytes(whole[:cut])
        entries = deployments.read(project)
        wish = deployments.wanted(entries).get("champion")
        assert wish is None or wish.release in (first, second)
        assert deployments.live(entries).get("champion") in (None, first)
        deployments.write(project, "champion", "asked", second, why="")
        assert deployments.wanted(deployments.read(project))["champion"].release == second
