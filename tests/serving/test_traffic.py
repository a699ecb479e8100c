"""Challengers beside the champion: shadow, canary, guardrails, and what a restart keeps."""

import json
import shutil
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from gatewayed import ask, gateway, settled, wait
from released import LABELS, released, scripted_project

from tuneworthy import service
from tuneworthy.errors import GateRefused
from tuneworthy.models.scripted import open_scripted
from tuneworthy.project import open_project
from tuneworthy.records import Answer
from tuneworthy.release import package
from tuneworthy.serving import deployments, guardrails, pairs
from tuneworthy.serving.guardrails import Guard, failure
from tuneworthy.serving.pairs import Line, Side
from tuneworthy.serving.split import Split, client_of, open_split


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr("tuneworthy.content.os.fsync", lambda file: None)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with two releases, made once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tuneworthy.content.os.fsync", lambda file: None)
        project = scripted_project(tmp_path_factory.mktemp("made") / "small")
        return project, [released(project, trained=False).name for _ in range(2)]


@pytest.fixture
def project(made, tmp_path):
    shutil.copytree(made[0].folder, tmp_path / "small")
    return open_project(tmp_path / "small")


@pytest.fixture
def two(made, project):
    return tuple(package.find(project, name) for name in made[1])


def live(project, name, *, mode="all", share=1.0, why="test"):
    service.deploy(project.folder, name, alias="champion", why=why, mode=mode, share=share)
    wait(lambda: deployments.read(project)[-1].action in ("live", "refused"))
    assert deployments.read(project)[-1].action == "live", deployments.read(project)[-1].why


def own_model(server, project, name, reply=None):
    """Give a loaded release a model of its own, that answers otherwise where wanted."""
    model = open_scripted(project.folder)
    if reply is not None:
        model._reply = reply
    server.gateway.lanes[name].answerer.model = model
    return model


def lines(project, one, two):
    return pairs.read(project.pairs_file(two.name, one.name))


# --- shadow ---


def test_a_shadow_answers_copies_and_the_client_sees_the_champion_alone(project, two):
    one, other = two
    with gateway(project) as (server, url):
        live(project, one.name)
        live(project, other.name, mode="shadow")
        own_model(server, project, other.name, lambda request: "keys")
        for word in ["pipe", "fuse", "door"] * 4:
            reply = ask(url, f"the {word}")
            assert reply.json()["model"] == one.name
        wait(lambda: len(lines(project, one, other)) == 12)
    found = pairs.amount(lines(project, one, other), 0.05)
    assert (found.pairs, found.same) == (12, 4)
    raw = project.pairs_file(other.name, one.name).read_text("utf-8")
    assert "pipe" not in raw
    assert "keys" not in raw


def test_a_slow_or_hanging_shadow_delays_nobody(project, two):
    """The copy waits until nobody waits; one that is being answered can hold up at most the request after it."""
    one, other = two
    with gateway(project) as (server, url):
        live(project, one.name)
        live(project, other.name, mode="shadow")
        held = threading.Event()
        beside = server.gateway.besides["champion"]
        beside.challenger.thread = __import__("concurrent.futures").futures.ThreadPoolExecutor(1)  # an engine apart
        own_model(server, project, other.name, lambda request: (held.wait(20), "keys")[1])
        seconds = []
        for _ in range(100):
            started = time.monotonic()
            assert ask(url, "the pipe").json()["model"] == one.name
            seconds.append(time.monotonic() - started)
        held.set()
        assert max(seconds) < 5
        wait(lambda: len(lines(project, one, other)) >= 65)  # the one being asked, and those that had room to wait
        text = httpx.get(f"{url}/metrics", trust_env=False).text
        assert 'tuneworthy_copies_total{alias="champion",outcome="left out"}' in text


def test_what_becomes_known_of_a_request_scores_both(project, two):
    one, other = two
    with gateway(project) as (server, url):
        live(project, one.name)
        live(project, other.name, mode="shadow")
        own_model(server, project, other.name, lambda request: "keys")
        numbers = [ask(url, f"the {word}").json()["id"] for word in ("pipe", "door", "fuse")]
        wait(lambda: len(lines(project, one, other)) == 3)
        for said in ({"right": True}, {"right": True}, {"right": False, "correction": "keys"}):
            body = {"id": numbers.pop(0), **said}
            assert httpx.post(f"{url}/v1/feedback", json=body, trust_env=False).status_code == 200
        server.gateway.besides["champion"].said("chatcmpl-unknown", False)
        wait(lambda: len(lines(project, one, other)) == 6)
    found = pairs.amount(lines(project, one, other), 0.05).scored
    assert (found.pairs, found.wins, found.losses) == (3, 1, 1)
    assert found.state == "not enough evidence"


# --- canary ---


def users(split, release, *, inside, n, share=0.5):
    names = (f"user-{number}" for number in range(10_000))
    picked = (u for u in names if (split.place("champion", release, client_of("", u)) < share) == inside)
    return [next(picked) for _ in range(n)]


def test_a_canary_answers_always_the_same_clients_and_nobody_without_a_name(project, two):
    one, other = two
    with gateway(project) as (_, url):
        live(project, one.name)
        live(project, other.name, mode="canary", share=0.3)
        seen = {
            f"user-{n}": {ask(url, "the pipe", user=f"user-{n}").json()["model"] for _ in range(2)} for n in range(60)
        }
        assert all(len(models) == 1 for models in seen.values())
        counts = Counter(next(iter(models)) for models in seen.values())
        assert 4 <= counts[other.name] <= 22
        assert {ask(url, "the pipe").json()["model"] for _ in range(10)} == {one.name}
        assert ask(url, "the pipe", model=one.name, user=next(iter(seen))).json()["model"] == one.name
    with gateway(project) as (_, url):  # started again: the same clients
        wait(lambda: ask(url, "the pipe").status_code == 200)
        inside = next(user for user, models in seen.items() if models == {other.name})
        wait(lambda: ask(url, "the pipe", user=inside).json()["model"] == other.name)
        for user, models in list(seen.items())[:8]:
            assert {ask(url, "the pipe", user=user).json()["model"]} == models


FAULTS = {
    "empty": (lambda request: "", "empty"),
    "format": (lambda request: "I would say plumbing, perhaps", "format"),
    "loop": (lambda request: "well, " * 40, "loop"),
    "error": (None, "error"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_canary_is_taken_out_at_once_and_the_log_says_why(project, two, fault):
    one, other = two
    reply, kind = FAULTS[fault]
    with gateway(project) as (server, url):
        live(project, one.name)
        live(project, other.name, mode="canary", share=0.5)
        split = open_split(project.split_file)
        inside = users(split, other.name, inside=True, n=8)
        model = own_model(server, project, other.name, reply)
        if reply is None:
            model._failing = {"pipe": "transport"}
        replies = [ask(url, "the pipe", user=user) for user in inside]
        assert all(reply.status_code == 200 for reply in replies)  # where the canary gives none, the champion answers
        served = [reply.json()["model"] for reply in replies]
        assert served[3:] == [one.name] * 5
        entry = deployments.read(project)[-1]
        assert (entry.action, entry.mode, entry.release) == ("refused", "canary", other.name)
        assert f"3 of 3 answers failed (3 {kind})" in entry.why
        assert deployments.challengers(deployments.read(project)) == {}
        wait(lambda: other.name not in server.gateway.lanes)
    with pytest.raises(GateRefused, match="taken out as a canary"):
        service.deploy(project.folder, other.name, alias="champion", why="", mode="canary", share=0.1)


def test_ratings_of_clients_take_a_worse_canary_out_and_hold_while_they_are_too_few(project, two):
    one, other = two
    with gateway(project) as (server, url):
        live(project, one.name)
        live(project, other.name, mode="canary", share=0.5)
        split = open_split(project.split_file)
        sides = [users(split, other.name, inside=inside, n=60) for inside in (True, False)]
        for number, (canary, champion) in enumerate(zip(*sides, strict=True)):
            for user, right in ((canary, number % 3 == 0), (champion, True)):
                reply = ask(url, "the pipe", user=user).json()
                beside = server.gateway.besides.get("champion")
                if beside is None:
                    break
                said = httpx.post(f"{url}/v1/feedback", json={"id": reply["id"], "right": right}, trust_env=False)
                assert said.status_code == 200
                beside.said(reply["id"], right)  # the same client again counts once
            if beside is None:
                break
        assert 30 <= number < 60
        assert "clients find it worse" in deployments.read(project)[-1].why


def test_rollback_takes_back_the_challenger_first_and_a_new_champion_ends_it(project, two):
    one, other = two
    with gateway(project) as (server, url):
        live(project, one.name)
        live(project, other.name, mode="canary", share=0.5)
        assert service.rollback(project.folder, alias="champion", why="enough seen").action == "ended"
        wait(lambda: not server.gateway.besides)
        live(project, other.name, mode="canary", share=0.5)
        live(project, other.name)
        wait(lambda: not server.gateway.besides)
        assert ask(url, "the pipe").json()["model"] == other.name
        assert service.rollback(project.folder, alias="champion", why="").release == one.name
        wait(lambda: ask(url, "the pipe").json()["model"] == one.name)


def test_a_challenger_needs_a_champion_and_passes_the_gate(project, two):
    one, other = two
    with gateway(project) as (server, url):
        service.deploy(project.folder, other.name, alias="champion", why="", mode="shadow")
        wait(lambda: deployments.read(project)[-1].action == "refused")
        assert "nothing is live" in deployments.read(project)[-1].why
        live(project, one.name)
        service.deploy(project.folder, one.name, alias="champion", why="", mode="shadow")
        wait(lambda: "it is what is live" in deployments.read(project)[-1].why)
        (other.folder / "cases.jsonl").write_text("", "utf-8")
        service.deploy(project.folder, other.name, alias="champion", why="", mode="canary", share=0.5)
        wait(lambda: "cases.jsonl was changed" in deployments.read(project)[-1].why)
        assert server.gateway.besides == {}
        assert ask(url, "the pipe", user="somebody").json()["model"] == one.name


def test_a_heartbeat_takes_a_canary_out_that_answers_otherwise(project, two):
    one, other = two
    with gateway(project, heartbeat=0.2) as (server, _):
        live(project, one.name)
        live(project, other.name, mode="canary", share=0.5)
        own_model(server, project, other.name, lambda request: "keys")
        wait(lambda: deployments.read(project)[-1].action == "refused")
        assert deployments.read(project)[-1].why.startswith("heartbeat: answers as recorded")
        assert server.gateway.routes == {"champion": one.name}


# --- parts ---


@given(st.lists(st.text(max_size=12), min_size=3, max_size=3), st.text(max_size=12))
def test_places_are_stable_in_range_and_keyed(parts, other):
    split = Split(b"a" * 32)
    place = split.place(*parts)
    assert 0 <= place < 1
    assert place == Split(b"a" * 32).place(*parts)
    assert place != Split(b"b" * 32).place(*parts)
    if other != parts[2]:
        assert place != split.place(parts[0], parts[1], other)


def test_a_larger_share_keeps_those_who_were_in_it_and_places_are_even():
    split = Split(b"k" * 32)
    places = [split.place("champion", "r", str(number)) for number in range(4000)]
    assert {p for p in places if p < 0.1} <= {p for p in places if p < 0.25}
    assert abs(sum(p < 0.1 for p in places) / 4000 - 0.1) < 0.02


def test_a_damaged_secret_is_an_error_and_a_new_one_is_private(tmp_path):
    file = tmp_path / "split.key"
    first = open_split(file).place("a", "b", "c")
    assert open_split(file).place("a", "b", "c") == first
    assert file.stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.iterdir()] == ["split.key"]
    file.write_bytes(b"short")
    with pytest.raises(Exception, match="damaged"):
        open_split(file)


@pytest.mark.parametrize(
    ("text", "kind"),
    [(LABELS[0], ""), ("", "empty"), (" \n", "empty"), ("elsewhere", "format"), ("ab cd " * 30, "loop")],
)
def test_what_no_client_should_get(project, text, kind):
    assert failure(Answer(text=text), project.usecase) == kind


def test_guardrails_hold_on_what_is_tolerated_and_see_a_rise():
    healthy = Guard()
    assert not any(healthy.canary("format" if number % 40 == 5 else "", 0.01) for number in range(2000))
    rising = Guard()
    reasons = [rising.canary("format" if number % 4 == 0 else "", 0.01) for number in range(200)]
    assert "are tolerated" in next(filter(None, reasons))
    weak = Guard(offline=0.3)  # it failed as often on the suite: no news
    assert not any(weak.canary("format" if number % 3 == 0 else "", 0.01) for number in range(2000))
    assert weak.in_a_row > 4


def test_failures_in_a_row_after_a_long_good_time_are_seen_at_once():
    guard = Guard()
    assert not any(guard.canary("", 0.01) for _ in range(5000))
    assert [bool(guard.canary("empty", 0.01)) for _ in range(4)] == [False, False, False, True]


def test_a_slow_canary_is_seen_against_the_pace_of_the_champion():
    guard = Guard()
    for number in range(200):
        guard.champion(0.1 + 0.01 * (number % 10))
    assert not any(guard.canary("", 0.15) for _ in range(500))
    assert "took longer" in next(filter(None, (guard.canary("", 0.5) for _ in range(200))))
    assert pytest.approx(guard.limit, rel=0.05) == guardrails.SLOWER * 0.19


def test_lines_are_read_back_and_a_torn_one_is_left_out(tmp_path):
    file = tmp_path / "pairs.jsonl"
    for number in range(3):
        side = Side(seconds=0.1, chars=3)
        at = f"2026-01-0{number + 1}T00:00:00+00:00"
        pairs.note(file, Line(kind="pair", at=at, number=str(number), champion=side, challenger=side, same=number > 0))
    file.write_bytes(file.read_bytes() + b'{"kind": "pair", "at"')
    found = pairs.amount(pairs.read(file), 0.05)
    assert (found.pairs, found.same, found.days) == (3, 2, 2.0)
    assert pairs.amount([], 0.05).pairs == 0


def test_days_are_told_from_the_traffic():
    at = [f"2026-01-{1 + number // 20:02}T{number % 20:02}:00:00+00:00" for number in range(200)]
    judged = [
        Line(
            kind="score",
            at=moment,
            number=str(n),
            scores=(1.0, 0.0) if n % 10 == 0 else (0.0, 1.0) if n % 10 == 5 else (1.0, 1.0),
        )
        for n, moment in enumerate(at)
    ]
    found = pairs.amount(judged, 0.05)
    wanted = pairs.needed(found, 0.05)
    assert found.scored.discordance == pytest.approx(0.2)
    assert wanted.assumed is None
    assert wanted.a_day == pytest.approx(200 / found.days)
    assert wanted.once < wanted.pairs < 4 * wanted.once
    assert wanted.days == pytest.approx(wanted.pairs / wanted.a_day)
    nothing = pairs.needed(pairs.amount([], 0.05), 0.05)
    assert (nothing.a_day, nothing.days, nothing.assumed) == (None, None, 0.2)


ACTIONS = st.tuples(
    st.sampled_from(["asked", "live", "refused", "rollback", "ended", "enough"]),
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from(["all", "canary", "shadow"]),
)


@given(st.lists(ACTIONS, max_size=12))
def test_any_log_is_a_state(steps):
    entries = [deployments.Entry(alias="x", action=action, release=name, mode=mode) for action, name, mode in steps]
    for cut in range(len(entries) + 1):
        known = entries[:cut]
        wish, beside = deployments.wanted(known).get("x"), deployments.challengers(known).get("x")
        assert wish is None or (wish.mode == "all" and wish.action != "refused")
        assert beside is None or (beside.mode != "all" and beside.action in ("asked", "live"))


def test_what_traffic_says_is_printed(project, two, capsys):
    from tuneworthy.printing import traffic as printing

    one, other = two
    with gateway(project) as (_, url):
        live(project, one.name)
        live(project, other.name, mode="shadow")
        ask(url, "the pipe")
        wait(lambda: len(lines(project, one, other)) == 1)
    printing.traffic(service.traffic(project.folder), project.folder, as_json=True)
    told = capsys.readouterr()
    assert "same answer: 1 of 1" in told.err
    assert "judged pairs" in told.err
    assert json.loads(told.out)["challengers"][0]["pairs"] == 1
    assert settled(project) == one.name


def test_stored_requests_go_through_both_and_are_scored_where_a_person_judged_them(project, two, tmp_path, capsys):
    from tuneworthy.printing import traffic as printing

    one, other = two
    rows = [
        {"input": {"message": f"{number}: the {word}"}, "expected": label}
        for number in range(10)
        for word, label in (("pipe", "plumbing"), ("fuse", "power"))
    ]
    file = tmp_path / "judged.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    found = service.replay(project.folder, file, name=other.name, against=one.name)
    assert (found.found.pairs, found.found.same, found.judged.n) == (20, 20, 20)
    printing.replayed(found, project.folder, as_json=True)
    told = capsys.readouterr()
    assert "same answer: 20 of 20" in told.err
    assert json.loads(told.out)["judged"]["wins"] == 0
    inputs = service.replay(project.folder, None, name=other.name, against=one.name)
    assert inputs.judged is None
    assert inputs.found.pairs == len(other.cases)
    with pytest.raises(GateRefused, match="nothing is live"):
        service.replay(project.folder, None, name=other.name, against="")
    with pytest.raises(GateRefused, match="with itself"):
        service.replay(project.folder, None, name=one.name, against=one.name)
