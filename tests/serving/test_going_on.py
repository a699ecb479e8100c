"""What goes wrong beside an answer takes neither the answer with it, nor the loops, nor the lock on the door."""

import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from gatewayed import CLIENT, ask, gateway, settled, wait
from released import released, scripted_project

from tuneworthy import service
from tuneworthy.models.scripted import open_scripted
from tuneworthy.project import open_project
from tuneworthy.release import package
from tuneworthy.serving import deployments, pairs
from tuneworthy.serving.engines import EngineAway
from tuneworthy.serving.gateway import Limits
from tuneworthy.serving.split import client_of, open_split
from tuneworthy.watch import traces


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr("tuneworthy.content.os.fsync", lambda file: None)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with two releases, the first one live."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tuneworthy.content.os.fsync", lambda file: None)
        project = scripted_project(tmp_path_factory.mktemp("made") / "small")
        names = [released(project, trained=False).name for _ in range(2)]
        service.deploy(project.folder, names[0], alias="champion", why="")
        return project, names


@pytest.fixture
def project(made, tmp_path):
    shutil.copytree(made[0].folder, tmp_path / "small")
    return open_project(tmp_path / "small")


@pytest.fixture
def two(made, project):
    return tuple(package.find(project, name) for name in made[1])


def canary(project, name):
    assert settled(project)
    service.deploy(project.folder, name, alias="champion", why="", mode="canary", share=0.5)
    settled(project)
    assert deployments.read(project)[-1].action == "live", deployments.read(project)[-1].why


def inside(project, name, n):
    split = open_split(project.split_file)
    users = (f"user-{number}" for number in range(10_000))
    picked = (user for user in users if split.place("champion", name, client_of("", user)) < 0.5)
    return [next(picked) for _ in range(n)]


def tell(url, number, **said):
    return CLIENT.post(f"{url}/v1/feedback", json={"id": number, **said})


def bearer(key):
    return {"authorization": f"Bearer {key}"}


# --- the door ---


def test_without_the_last_key_nobody_gets_in(project):
    key = service.new_key(project.folder, "ann", [])
    with gateway(project) as (_, url):
        assert settled(project)
        assert ask(url, "the pipe", headers=bearer(key)).status_code == 200
        service.take_back_key(project.folder, "ann")
        assert [ask(url, "the pipe", headers=h).status_code for h in ({}, bearer(key))] == [401, 401]
        project.keys_file.unlink()
        assert ask(url, "the pipe").status_code == 401
        key = service.new_key(project.folder, "bob", [])
        assert ask(url, "the pipe", headers=bearer(key)).status_code == 200
        service.take_back_key(project.folder, "bob")
    with gateway(project) as (_, url):  # started again, by whoever looks after it
        wait(lambda: CLIENT.get(f"{url}/health").status_code == 200)
        assert ask(url, "the pipe").status_code == 401
    project.keys_file.unlink()
    with gateway(project) as (_, url):
        wait(lambda: ask(url, "the pipe").status_code == 200)


def test_keys_that_came_later_are_wanted_from_then_on_and_metrics_are_gone(project):
    with gateway(project) as (_, url):
        assert settled(project)
        assert ask(url, "the pipe").status_code == 200
        assert CLIENT.get(f"{url}/metrics").status_code == 200
        service.new_key(project.folder, "ann", [])
        shut = CLIENT.get(f"{url}/metrics")
        assert (shut.status_code, "--admin-port" in shut.json()["error"]["message"]) == (404, True)
        service.take_back_key(project.folder, "ann")
        assert CLIENT.get(f"{url}/metrics").status_code == 404
        assert ask(url, "the pipe").status_code == 401
        project.keys_file.write_text("{", "utf-8")
        assert CLIENT.get(f"{url}/metrics").status_code == 404


# --- the loops ---


def test_what_nobody_foresaw_is_told_and_following_heartbeat_and_mending_go_on(project, two):
    one, other = two
    told = []

    def once(real):
        left = ["odd"]

        async def step(*given):
            if left:
                raise RuntimeError(f"{left.pop()} {real.__name__}")
            return await real(*given)

        return step

    with gateway(project, heartbeat=0.1) as (server, url):
        assert settled(project) == one.name
        server.tell = told.append
        server.loading.looked_at = once(server.loading.looked_at)
        wait(lambda: "RuntimeError: odd looked_at" in told)
        server._catch_up = once(server._catch_up)
        service.deploy(project.folder, other.name, alias="champion", why="")
        wait(lambda: "RuntimeError: odd _catch_up" in told)
        service.deploy(project.folder, other.name, alias="champion", why="again")
        assert settled(project) == other.name

        again, left = server.loading.again, ["odd again"]

        def mended(lane):
            if left:
                raise RuntimeError(left.pop())
            return again(lane)

        server.loading.again = mended
        server.gateway.lanes[other.name].down = "away"
        wait(lambda: "RuntimeError: odd again" in told)
        wait(lambda: ask(url, "the pipe").status_code == 200)
        server.gateway.lanes[other.name].answerer.model._reply = lambda request: "keys"
        wait(lambda: any(e.why.startswith("heartbeat") for e in deployments.read(project)))


def test_what_fails_at_the_end_leaves_nothing_unwritten(project):
    with gateway(project) as (server, url):
        assert settled(project)
        close = server.loading.close

        def broken():
            close()
            raise RuntimeError("the engine does not end")

        server.loading.close = broken
        assert ask(url, "the pipe").status_code == 200
    assert not server.traces._thread.is_alive()
    assert len(traces.read(project.traces)[0]) == 1


# --- beside the champion ---


def test_feedback_that_takes_a_canary_out_is_answered(project, two):
    one, other = two
    with gateway(project) as (server, url):
        canary(project, other.name)
        reply = ask(url, "the pipe", user=inside(project, other.name, 1)[0]).json()
        assert reply["model"] == other.name
        wait(lambda: pairs.read(project.pairs_file(other.name, one.name)))  # the champion answered the copy
        beside = server.gateway.besides["champion"]
        beside._decide = lambda: beside.told.take_out("clients find it worse")
        assert tell(url, reply["id"], right=False).status_code == 200
        assert beside.over
        assert deployments.read(project)[-1].why == "clients find it worse"
        assert tell(url, reply["id"], right=True).status_code == 200


def test_a_canary_whose_engine_is_away_or_full_is_no_failure_and_the_champion_answers(project, two):
    one, other = two

    def away(lane):
        raise EngineAway("away")

    with gateway(project) as (server, url):
        canary(project, other.name)
        lane, beside = server.gateway.lanes[other.name], server.gateway.besides["champion"]
        users = inside(project, other.name, 8)
        lane.room = 0
        assert ask(url, "the pipe", user=users[0]).json()["model"] == one.name
        lane.room = 10
        lane.at_once = 2  # as one on an engine elsewhere
        server.loading.again = away
        model = open_scripted(project.folder)
        model._failing = {"pipe": "transport"}
        working, lane.answerer.model = lane.answerer.model, model
        replies = [ask(url, "the pipe", user=user) for user in users]
        assert [reply.status_code for reply in replies] == [200] * 8
        assert {reply.json()["model"] for reply in replies} == {one.name}
        assert lane.down
        assert (beside.over, beside.guard.failed) == (False, 0)
        lane.answerer.model = working
        lane.up()
        assert ask(url, "the pipe", user=users[0]).json()["model"] == other.name


def test_a_canary_that_hangs_costs_half_of_the_time_and_none_of_it_is_the_champions(project, two):
    one, other = two
    held = threading.Event()
    with gateway(project) as (server, url):
        canary(project, other.name)
        lanes, beside = server.gateway.lanes, server.gateway.besides["champion"]
        user = inside(project, other.name, 1)[0]
        for name in (one.name, other.name):
            lanes[name].thread = ThreadPoolExecutor(1)
            lanes[name].answerer.model = open_scripted(project.folder)
        lanes[other.name].answerer.model._reply = lambda request: (held.wait(20), "keys")[1]
        server.gateway.limits = Limits(seconds=2)
        try:
            started = time.monotonic()
            assert ask(url, "the pipe", user=user).json()["model"] == one.name
            assert 1 <= time.monotonic() - started < 1.9
            assert beside.guard.failed == 1
            assert beside.guard._pace[-1] < 0.9
            wait(lambda: traces.read(project.traces)[0])
            assert traces.read(project.traces)[0][-1].seconds < 0.9
            lanes[one.name].answerer.model._reply = lambda request: (held.wait(20), "keys")[1]
            started = time.monotonic()
            assert ask(url, "the pipe", user=user).status_code == 504
            assert time.monotonic() - started < 3.5
        finally:
            held.set()


def test_feedback_never_waits_for_ever_and_the_next_is_taken(project):
    held = threading.Event()
    with gateway(project) as (server, url):
        assert settled(project)
        number = ask(url, "the pipe").json()["id"]
        wait(lambda: traces.read(project.traces)[0])
        server.traces._said = lambda *given: held.wait(20)
        server.gateway.limits = Limits(seconds=0.3)
        try:
            for _ in range(2):  # the first one hangs, the second one waits behind it
                late = tell(url, number, right=True)
                assert (late.status_code, "in time" in late.json()["error"]["message"]) == (503, True)
        finally:
            held.set()
        del server.traces._said
        server.gateway.limits = Limits()
        assert tell(url, number, right=True).status_code == 200
