"""The gateway over a real socket: what it answers, what it refuses, and what it never lets through."""

import json
import sys
import threading
from contextlib import suppress
from pathlib import Path

import httpx
import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from gatewayed import ask, gateway, settled
from released import SIGNS, released, scripted_project

from tuneworthy import service
from tuneworthy.serving.asking import Refused, read_request, read_row
from tuneworthy.serving.gateway import Limits


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """(project, release, URL) of a scripted release that is live as champion."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tuneworthy.content.os.fsync", lambda file: None)
        project = scripted_project(tmp_path_factory.mktemp("served") / "small")
        release = released(project, trained=False)
        service.deploy(project.folder, "", alias="champion", why="the first")
        with gateway(project, limits=Limits(body_bytes=20_000)) as (_, url):
            assert settled(project) == release.name
            yield project, release, url


def test_the_openai_client_gets_what_was_measured(served):
    _, release, url = served
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none")
    assert [model.id for model in client.models.list()] == ["champion"]
    for case in release.cases[:10]:
        reply = client.chat.completions.create(
            model="champion", messages=[{"role": "user", "content": case.input["message"]}]
        )
        assert reply.choices[0].message.content == case.expected
        assert reply.model == release.name
        assert reply.usage.total_tokens > 0


def test_streamed_answers_are_the_same(served):
    _, release, url = served
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none")
    for case in release.cases[:3]:
        pieces = client.chat.completions.create(
            model="champion", messages=[{"role": "user", "content": case.input["message"]}], stream=True
        )
        assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == case.expected


def test_an_input_can_be_sent_as_its_fields(served):
    _, release, url = served
    case = release.cases[0]
    assert ask(url, json.dumps(case.input)).json()["choices"][0]["message"]["content"] == case.expected
    assert ask(url, "pipe", model=release.name).status_code == 200


def test_settings_of_the_client_do_not_change_what_was_measured_and_are_told(served):
    _, _, url = served
    reply = ask(url, "the pipe", temperature=1.5, max_tokens=1)
    assert reply.headers["x-tuneworthy-ignored"] == "temperature, max_tokens"
    assert reply.json()["choices"][0]["message"]["content"] == "plumbing"


@pytest.mark.parametrize(
    ("settings_", "status", "word"),
    [
        ({"model": "nobody"}, 404, "nobody"),
        ({"model": "../../etc/passwd"}, 404, "nothing is served"),
        ({"model": 3}, 400, "alias"),
        ({"messages": "hello"}, 400, "list"),
        ({"messages": []}, 400, "one message"),
        ({"messages": [{"role": "system", "content": "x"}]}, 400, "one message"),
        ({"messages": [{"role": "user", "content": 5}]}, 400, "text"),
        ({"messages": [{"role": "user", "content": " "}]}, 400, "missing or empty"),
        ({"messages": [{"role": "user", "content": "x" * 21_000}]}, 413, "larger"),
        ({"tools": [{"type": "function"}]}, 400, "measured"),
        ({"n": 2}, 400, "one answer"),
        ({"stream": "yes"}, 400, "true or false"),
    ],
)
def test_what_cannot_be_answered_is_a_clear_error(served, settings_, status, word):
    _, _, url = served
    body = {"model": "champion", "messages": [{"role": "user", "content": "the pipe"}], **settings_}
    reply = httpx.post(f"{url}/v1/chat/completions", json=body, trust_env=False)
    assert reply.status_code == status
    assert word in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 400),
        (b"\xff\xfe", 400),
        (b"[" * 5000, 400),
        (b'{"model": "champion", "model": "x"}', 400),
        (b'{"model": NaN}', 400),
        (b"x" * 30_000, 413),
    ],
)
def test_bodies_that_are_no_request(served, raw, status):
    _, _, url = served
    reply = httpx.post(
        f"{url}/v1/chat/completions", content=raw, headers={"content-type": "application/json"}, trust_env=False
    )
    assert reply.status_code == status


def test_a_form_of_another_site_is_not_read(served):
    _, _, url = served
    reply = httpx.post(f"{url}/v1/chat/completions", content=b"{}", headers={"content-type": "text/plain"})
    assert reply.status_code == 415


def test_answers_are_never_crossed_between_clients(served):
    _, _, url = served
    wrong = []

    def client(number):
        word = ["pipe", "fuse", "door"][number % 3]
        with httpx.Client(trust_env=False, timeout=60) as session:
            for turn in range(15):
                content = f"client {number} turn {turn}: the {word}"
                body = {"model": "champion", "messages": [{"role": "user", "content": content}]}
                reply = session.post(f"{url}/v1/chat/completions", json=body)
                if reply.status_code != 200 or reply.json()["choices"][0]["message"]["content"] != SIGNS[word]:
                    wrong.append((number, reply.status_code, reply.text[:200]))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_metrics_and_health_say_what_is_live(served):
    _, release, url = served
    ask(url, "the pipe")
    text = httpx.get(f"{url}/metrics", trust_env=False).text
    assert f'tuneworthy_live{{alias="champion",release="{release.name}"}} 1.0' in text
    assert 'outcome="ok"' in text
    assert httpx.get(f"{url}/health", trust_env=False).json() == {"live": {"champion": release.name}}


@given(raw=st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_request_or_are_refused(raw):
    with suppress(Refused):
        assert read_request(raw).model


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(messages=st.lists(st.dictionaries(st.sampled_from(["role", "content", "name"]), VALUES, max_size=3), max_size=3))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_messages_are_an_input_or_are_refused(served, messages):
    _, release, _ = served
    with suppress(Refused):
        assert set(read_row(tuple(messages), release.usecase)) == {"message"}
