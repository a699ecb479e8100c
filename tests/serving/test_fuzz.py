"""Whatever is sent, the gateway says clearly what is wrong: never 500, and never another client's answer."""

import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from gatewayed import ask, gateway, settled
from released import SIGNS, released, scripted_project

from tuneworthy import service
from tuneworthy.errors import TuneworthyError
from tuneworthy.serving import openapi
from tuneworthy.serving.gateway import Gateway, Limits
from tuneworthy.serving.keys import Keys

UNEXPECTED = {500, 501, 502, 504}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """(project, URL) of a scripted release that is live as champion, with few seconds of patience."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tuneworthy.content.os.fsync", lambda file: None)
        project = scripted_project(tmp_path_factory.mktemp("fuzzed") / "small")
        released(project, trained=False)
        service.deploy(project.folder, "", alias="champion", why="")
        with gateway(project, limits=Limits(body_bytes=50_000, head_seconds=0.5, seconds=2.0)) as (_, url):
            assert settled(project)
            yield project, url


@pytest.fixture
def whole(served):
    """While something is done to the gateway, others ask it, and each gets its own answer."""
    _, url = served
    stopped, wrong, right = threading.Event(), [], []

    def other(word):
        with httpx.Client(trust_env=False, timeout=30) as session:
            while not stopped.is_set():
                body = {"model": "champion", "messages": [{"role": "user", "content": f"{word} {time.time()}"}]}
                reply = session.post(f"{url}/v1/chat/completions", json=body)
                said = reply.json()["choices"][0]["message"]["content"] if reply.status_code == 200 else reply.text
                (right if said == SIGNS[word] else wrong).append(said)
                time.sleep(0.01)

    threads = [threading.Thread(target=other, args=(word,)) for word in ("pipe", "fuse", "door")]
    for thread in threads:
        thread.start()
    yield
    stopped.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(right) >= 3
    assert httpx.get(f"{url}/health", trust_env=False).status_code == 200


def routes():
    app = Gateway(keys=Keys, limits=Limits()).app()
    return {(route.path, method.lower()) for route in app.routes for method in route.methods - {"HEAD"}}


def test_the_document_tells_of_every_route_and_of_no_other(served):
    document = httpx.get(f"{served[1]}/openapi.json", trust_env=False).json()
    assert document == openapi.document()
    assert {(path, method) for path, told in document["paths"].items() for method in told} == routes()


def schemathesis(url, *more):
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", "--no-color", "--workers", "1",
               "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,"
               "response_schema_conformance,response_headers_conformance,unsupported_method,ignored_auth",
               "--continue-on-failure", *more]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=250, cwd="/tmp")


def test_schemathesis_finds_nothing(served, whole):
    pytest.importorskip("schemathesis")
    done = schemathesis(served[1], "--phases", "examples,coverage,fuzzing", "-n", "8", "--seed", "1")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.slow
def test_schemathesis_finds_nothing_in_many_tries(served, whole):
    pytest.importorskip("schemathesis")
    done = schemathesis(served[1], "-n", "400")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/feedback"])
@pytest.mark.parametrize("body", [{"\ud800": 1}, {"model": "\ud800", "messages": []}, {"id": "\udfff", "right": True}])
def test_half_a_character_is_refused_and_can_be_said(served, path, body):
    headers = {"content-type": "application/json"}
    reply = httpx.post(served[1] + path, content=json.dumps(body), headers=headers, trust_env=False)
    assert reply.status_code in (400, 404)
    assert reply.json()["error"]["message"]


def sent(url, raw):
    """Bytes as they are, and the first bytes that come back."""
    at = urlsplit(url)
    with socket.create_connection((at.hostname, at.port), timeout=10) as line:
        line.sendall(raw)
        found = b""
        while b"\r\n\r\n" not in found and (piece := line.recv(4096)):
            found += piece
    return found


def status(answer):
    return int(answer.split(b" ")[1]) if answer else 0


TEXT = st.text(max_size=12) | st.sampled_from(["\ud800", "\x00", "\r\nx: y", "../../etc/passwd", "champion", "💥" * 9])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
BODY = st.fixed_dictionaries(
    {"model": st.just("champion") | JSON, "messages": JSON | st.lists(
        st.fixed_dictionaries({"role": st.just("user") | TEXT, "content": JSON}), max_size=2)},
    optional=dict.fromkeys("stream user n tools stop id right note correction input".split(), JSON),
)  # fmt: skip


@given(body=BODY | JSON, path=st.sampled_from(sorted(routes())), raw=st.binary(max_size=40), broken=st.booleans())
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_body_gets_a_clear_answer(served, body, path, raw, broken):
    content = json.dumps(body).encode() + (raw if broken else b"")
    headers = {"content-type": "application/json"}
    with httpx.Client(trust_env=False, timeout=30) as session:
        reply = session.request(path[1], served[1] + path[0], content=content, headers=headers)
    assert reply.status_code not in UNEXPECTED, (body, reply.text)
    if reply.status_code >= 400 and path[0].startswith("/v1"):
        assert reply.json()["error"]["message"]


@given(
    name=st.sampled_from(["authorization", "x-tuneworthy-gate", "content-type", "content-length", "cookie", "x"]),
    value=st.binary(max_size=30),
    path=st.sampled_from(sorted(routes())),
)
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_header_gets_a_clear_answer(served, name, value, path):
    """Bytes beyond ASCII, line breaks that would begin another header, a length that is none."""
    head = f"{path[1].upper()} {path[0]} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n".encode()
    length = b"" if name == "content-length" else b"content-length: 2\r\n"
    answer = sent(served[1], head + length + name.encode() + b": " + value + b"\r\n\r\n{}")
    assert status(answer) not in UNEXPECTED, answer
    assert b"\r\nx-injected" not in answer.lower()


@given(path=st.text(st.characters(max_codepoint=0x24F, exclude_characters="\r\n "), max_size=30))
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_path_is_one_of_the_routes_or_is_refused(served, path):
    answer = sent(served[1], b"GET /" + path.encode() + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert status(answer) in (0, 200, 400, 404, 405), answer


@pytest.mark.parametrize(
    "path",
    [
        "/v1/../../etc/passwd",
        "/v1/%2e%2e/%2e%2e/etc/passwd",
        "//v1/models",
        "/.tuneworthy/keys.json",
        "/v1/models/../x",
    ],
)
def test_no_path_leads_to_a_file(served, path):
    answer = sent(served[1], f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    assert status(answer) in (400, 404)


def test_deep_and_giant_bodies_are_refused(served, whole):
    _, url = served
    for raw, wanted in (
        (b'{"model": ' + b"[" * 20_000 + b"]" * 20_000 + b"}", 400),
        (b'{"model": ' + b'{"a":' * 9_000, 400),
        (b'{"model": ' + b"9" * 40_000 + b"}", 400),
        (b"x" * 5_000_000, 413),
    ):
        for path in ("/v1/chat/completions", "/v1/feedback"):
            reply = httpx.post(url + path, content=raw, headers={"content-type": "application/json"}, trust_env=False)
            assert reply.status_code == wanted
            assert len(reply.text) < 1000


def test_a_body_without_end_is_cut_off(served, whole):
    _, url = served

    def pieces():
        for _ in range(10_000):
            yield b"x" * 10_000

    with httpx.Client(trust_env=False, timeout=30) as session:
        try:
            reply = session.post(f"{url}/v1/feedback", content=pieces(), headers={"content-type": "application/json"})
        except httpx.WriteError:  # the gateway hung up while it was still being sent
            return
    assert reply.status_code == 413


def test_slow_clients_are_hung_up_on_while_others_are_answered(served, whole):
    """A head byte by byte, no head at all, a second head on a kept connection, a body that never comes."""
    at = urlsplit(served[1])
    head = b"GET /health HTTP/1.1\r\nhost: x\r\n"
    post = b"POST /v1/feedback HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n"

    def ended(first, more, seconds):
        with socket.create_connection((at.hostname, at.port), timeout=seconds) as line:
            line.sendall(first)
            until, found = time.monotonic() + seconds, b""
            line.settimeout(0.1)
            while time.monotonic() < until:
                try:
                    piece = line.recv(4096)
                    found += piece
                    if not piece:
                        return found
                except TimeoutError:
                    pass
                except ConnectionError:
                    return found
                if more and (b"HTTP" in found or not first.endswith(b"\r\n\r\n")):
                    try:
                        line.sendall(more)
                    except OSError:
                        return found
        raise AssertionError("the connection was held open")

    assert ended(b"", b"", 8) == b""
    assert ended(head, b"x", 8) == b""
    assert b"200 OK" in ended(head + b"\r\n", b"G", 8)
    assert b"408" in ended(post, b"", 12)


NAMES = st.text(max_size=20) | st.sampled_from(["../../x", "/etc/passwd", "a\nb", "champion ", "\ud800", "", "x" * 300])


@given(name=NAMES)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_names_of_aliases_keys_and_releases_lead_nowhere_else(served, name, tmp_path_factory):
    project, _ = served
    before = {path for path in project.folder.rglob("*") if "trace" not in str(path)}
    for wanted in (
        lambda: service.deploy(project.folder, "", alias=name, why=""),
        lambda: service.new_key(project.folder, name, []),
        lambda: service.new_key(project.folder, "ann", [name]),
    ):
        if not name.isascii() or not name.isprintable() or "/" in name or not name.strip() or name != name.strip():
            with pytest.raises(TuneworthyError, match="name"):
                wanted()
    if "/" in name:
        with pytest.raises(TuneworthyError):
            service.verify_release(project.folder, name)
    after = {path for path in project.folder.rglob("*") if "trace" not in str(path)}
    assert {path.name for path in after - before} <= {"keys.json"}


def test_one_client_never_sees_what_another_may_ask(served):
    """A key for one alias: neither the other aliases nor the names of their releases come out in any answer."""
    project, url = served
    key = service.new_key(project.folder, "bob", ["challenger"])
    try:
        headers = {"authorization": f"Bearer {key}"}
        name = released_name(project)
        for reply in (
            httpx.get(f"{url}/v1/models", headers=headers, trust_env=False),
            ask(url, "the pipe", headers=headers),
            ask(url, "the pipe", model=name, headers=headers),
        ):
            assert "champion" not in reply.text.replace("'champion'", "")
            assert name not in reply.text.replace(repr(name), "")
    finally:
        service.take_back_key(project.folder, "bob")


def released_name(project):
    return service.releases(project.folder)[-1].name
