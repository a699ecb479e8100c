"""What protects the machine: limits of keys, an orderly end, and a port for whoever runs it."""

import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from gatewayed import CLIENT, ask, free_port, gateway, settled, wait
from released import released, scripted_project

from tuneworthy import service
from tuneworthy.serving.gateway import Gateway, Limits
from tuneworthy.serving.keys import Keys


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setattr("tuneworthy.content.os.fsync", lambda file: None)
    project = scripted_project(tmp_path / "small")
    released(project, trained=False)
    service.deploy(project.folder, "", alias="champion", why="")
    return project


def test_keys_are_limited_each_for_itself_and_told_when_to_come_back(project):
    headers = [{"authorization": f"Bearer {service.new_key(project.folder, name, [])}"} for name in ("ann", "bob")]
    with gateway(project, limits=Limits(per_minute=3, at_once=1)) as (server, url):
        assert settled(project)
        lane = next(iter(server.gateway.lanes.values()))
        reply, held = lane.answerer.model._reply, threading.Event()
        lane.answerer.model._reply = lambda request: (held.wait(20), reply(request))[1]
        first = threading.Thread(target=ask, args=(url, "the pipe"), kwargs={"headers": headers[0]})
        first.start()
        wait(lambda: server.gateway._open.get("ann") == 1)
        second = ask(url, "the pipe", headers=headers[0])
        assert (second.status_code, second.headers["retry-after"]) == (429, "1")
        assert "at once" in second.json()["error"]["message"]
        held.set()
        first.join()
        assert server.gateway._open == {"ann": 0}
        assert ask(url, "the pipe", headers=headers[0]).status_code == 200
        often = ask(url, "the pipe", headers=headers[0])
        assert often.status_code == 429
        assert 50 <= int(often.headers["retry-after"]) <= 60
        assert ask(url, "the pipe", headers=headers[1]).status_code == 200


def test_a_minute_is_a_minute_whatever_the_wall_clock_says(monkeypatch):
    gateway_ = Gateway(Keys, Limits(per_minute=1))
    gateway_._not_too_often("ann")
    monkeypatch.setattr("time.time", lambda: 4e9)  # years ahead
    with pytest.raises(Exception, match="a minute"):
        gateway_._not_too_often("ann")


def test_stopping_answers_what_is_under_way_and_takes_nothing_more(project):
    with gateway(project) as (server, url):
        assert settled(project)
        model = next(iter(server.gateway.lanes.values())).answerer.model
        reply, begun = model._reply, threading.Event()

        def slow(request):
            begun.set()
            time.sleep(1.5)
            return reply(request)

        model._reply = slow
        found = []
        asking = threading.Thread(target=lambda: found.append(ask(url, "the pipe")))
        asking.start()
        assert begun.wait(10)
        server.stop()
        time.sleep(0.5)
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"{url}/health", trust_env=False, timeout=1)
        asking.join()
    assert found[0].status_code == 200
    assert found[0].json()["choices"][0]["message"]["content"] == "plumbing"


def test_metrics_are_not_where_clients_are_once_they_have_a_port(project):
    port = free_port()
    with gateway(project, admin_port=port) as (_, url):
        assert settled(project)
        assert CLIENT.get(f"{url}/metrics").status_code == 404
        assert CLIENT.get(f"{url}/health").status_code == 200
        wait(lambda: httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).status_code == 200)
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
        assert 'tuneworthy_live{alias="champion"' in text
        assert CLIENT.post(f"http://127.0.0.1:{port}/v1/chat/completions", json={}).status_code == 404


def test_metrics_are_not_shown_to_other_machines():
    paths = [route.path for route in Gateway(Keys, Limits()).app(metrics=False).routes]
    assert "/metrics" not in paths
    assert "/health" in paths
