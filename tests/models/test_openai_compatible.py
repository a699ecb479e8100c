"""An endpoint over real HTTP: patient where that helps, and honest about what failed."""

import json
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from talking import Server, chat
from weights import ask, labels

from tuneworthy.errors import ModelError
from tuneworthy.models.openai_compatible import AGAIN, Patience, open_endpoint
from tuneworthy.records import Completion, Constraint, Decoding, Message, Request
from tuneworthy.usecase import ModelChoice

QUICK = Patience(attempts=3, first_wait=0.01, longest_wait=0.5, timeout=0.3, at_once=4)
SECRET = "sk-geheim-12345"


def endpoint(url, patience=QUICK, **choice):
    return open_endpoint(ModelChoice(base="tiny", endpoint=url, **choice), privacy="on_premises", patience=patience)


def one(server, request=None, patience=QUICK):
    return endpoint(server.url, patience).complete([request or ask("hello")])[0]


# --- what is sent ---


def test_the_request_is_sent_as_the_interface_says(server):
    request = Request(
        messages=(Message(role="system", content="Be brief."), Message(role="user", content="größer – 東京")),
        decoding=Decoding(max_tokens=9, temperature=0.5, top_p=0.9, seed=3, stop=("\n", "##")),
    )
    assert one(server, request).text == "GRÖSSER – 東京"
    assert server.paths == ["/v1/chat/completions"]
    assert server.asked == [
        {
            "model": "tiny",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "größer – 東京"},
            ],
            "max_tokens": 9,
            "temperature": 0.5,
            "top_p": 0.9,
            "seed": 3,
            "stop": ["\n", "##"],
        }
    ]


def test_a_slash_at_the_end_of_the_url_changes_nothing(server):
    with_slash = endpoint(server.url + "/")
    assert with_slash.complete([ask("hello")])[0].text == "HELLO"
    assert server.paths == ["/v1/chat/completions"]
    assert with_slash.digest == endpoint(server.url).digest


def test_labels_travel_in_an_object_and_come_back_as_text(server):
    server.reply = lambda body: (200, {}, chat('{"answer": "größe"}'))
    assert one(server, ask("?", constraint=labels("refund", "größe"))).text == "größe"
    assert server.asked[0]["response_format"] == {
        "type": "json_schema",
        "json_schema": {
            "name": "answer",
            "strict": True,
            "schema": {
                "type": "object",
                "properties": {"answer": {"type": "string", "enum": ["refund", "größe"]}},
                "required": ["answer"],
                "additionalProperties": False,
            },
        },
    }


def test_a_schema_travels_as_it_is_and_the_answer_is_left_as_it_is(server):
    schema = {"type": "object", "properties": {"answer": {"type": "integer"}}}
    server.reply = lambda body: (200, {}, chat('{"answer": 1}'))
    assert one(server, ask("?", constraint=Constraint(kind="json_schema", json_schema=schema))).text == '{"answer": 1}'
    assert server.asked[0]["response_format"]["json_schema"]["schema"] == schema


@pytest.mark.parametrize(
    "said", ["refund", '{"answer": "ref', '{"answer": 7}', '{"other": "refund"}', '["refund"]', ""]
)
def test_an_endpoint_that_ignores_the_constraint_is_judged_by_what_the_model_said(server, said):
    server.reply = lambda body: (200, {}, chat(said))
    completion = one(server, ask("?", constraint=labels("refund", "other")))
    assert (completion.text, completion.error) == (said, None)


# --- what comes back ---


def test_tokens_and_time_are_counted(server):
    server.reply = lambda body: (time.sleep(0.05), (200, {}, chat("yes", tokens_in=11, tokens_out=2)))[1]
    completion = one(server)
    assert (completion.tokens_in, completion.tokens_out) == (11, 2)
    assert 0.05 <= completion.seconds < 1


@pytest.mark.parametrize(
    "usage", [None, {}, [], "many", {"prompt_tokens": None}, {"prompt_tokens": "x"}, {"prompt_tokens": 1e999}]
)
def test_an_answer_without_a_usable_count_is_an_answer(server, usage):
    server.reply = lambda body: (200, {}, {**chat("yes"), "usage": usage})
    completion = one(server)
    assert (completion.text, completion.error, completion.tokens_in) == ("yes", None, 0)


def test_an_answer_cut_by_the_limit_says_so(server):
    server.reply = lambda body: (200, {}, chat("yes and", finish="length"))
    assert one(server).finish == "length"


def test_half_a_surrogate_pair_becomes_a_character_that_files_can_hold(server):
    server.reply = lambda body: (200, {}, chat("x \ud800 \ud83d\ude00"))
    assert one(server).text == "x \ufffd \U0001f600"


def test_an_empty_answer_of_the_model_is_an_answer(server):
    server.reply = lambda body: (200, {}, chat(""))
    assert (one(server).text, one(server).error) == ("", None)


@pytest.mark.parametrize(
    "reply",
    [
        (200, {}, chat(None, finish="content_filter")),
        (200, {}, chat("half an ans", finish="content_filter")),
        (400, {}, {"error": {"code": "content_filter", "message": "the prompt was withheld"}}),
    ],
)
def test_what_a_filter_withheld_is_not_scored(server, reply):
    server.reply = lambda body: reply
    completion = one(server)
    assert (completion.error, completion.finish, completion.text) == ("content_filter", "error", "")
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>gateway</html>",
        b"\xff\xfe{",
        b"null",
        b"[]",
        b"3",
        b'{"choices": []}',
        b'{"choices": [{}]}',
        b'{"choices": {"0": 1}}',
        b'{"choices": [{"message": {"content": null}}]}',
        b'{"choices": [{"message": {"content": ["a"]}}]}',
        b"[" * 100_000,
    ],
)
def test_a_body_that_is_no_chat_completion_is_a_failure_and_never_an_empty_answer(server, body):
    server.reply = lambda asked: (200, {}, body)
    completion = one(server)
    assert (completion.error, completion.finish) == ("parse", "error")
    assert completion.detail


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
nearly = st.fixed_dictionaries(
    {},
    optional={
        "choices": json_values
        | st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "message": json_values | st.fixed_dictionaries({"content": json_values}),
                    "finish_reason": json_values,
                },
            ),
            max_size=2,
        ),
        "usage": json_values | st.fixed_dictionaries({"prompt_tokens": json_values, "completion_tokens": json_values}),
        "error": json_values,
    },
)


@pytest.fixture(scope="module")
def talking():
    with Server() as running:
        yield running


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    body=json_values | nearly,
    status=st.sampled_from([200, 200, 201, 204, 302, 400, 404, 418]),
    constrained=st.booleans(),
)
def test_any_json_body_gives_a_completion(talking, body, status, constrained):
    talking.reply = lambda asked: (status, {}, b"" if status == 204 else body)
    request = ask("?", constraint=labels("a", "b") if constrained else None)
    completion = endpoint(talking.url).complete([request])[0]
    assert isinstance(completion, Completion)
    assert (completion.error is None) == (completion.finish != "error")
    assert completion.error is None or completion.text == ""
    assert completion.error is not None or status < 300


# --- patience ---


@pytest.mark.parametrize("status", AGAIN)
def test_it_asks_again_after_a_passing_trouble(server, status):
    server.script((status, {}, {}), (status, {}, b"busy"))
    assert one(server).text == "HELLO"
    assert len(server.asked) == 3
    assert server.asked[0] == server.asked[2]


def test_it_waits_longer_each_time(server):
    server.reply = lambda body: (500, {}, {})
    one(server, patience=Patience(attempts=4, first_wait=0.1))
    waits = [after - before for before, after in zip(server.times, server.times[1:], strict=False)]
    assert len(waits) == 3
    for number, wait in enumerate(waits):
        assert 0.1 * 2**number <= wait < 0.1 * 2**number * 1.5 + 0.3


def test_it_gives_up_after_the_last_attempt_without_waiting_once_more(server):
    server.reply = lambda body: (503, {}, {})
    completion = one(server, patience=Patience(attempts=2, first_wait=0.2))
    assert (completion.error, completion.finish, completion.text) == ("transport", "error", "")
    assert "HTTP 503" in completion.detail
    assert len(server.asked) == 2
    assert 0.2 <= completion.seconds < 0.6


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refusal_is_not_repeated_and_tells_what_the_server_said(server, status):
    server.reply = lambda body: (status, {}, {"error": {"message": "no such model"}})
    completion = one(server)
    assert (completion.error, len(server.asked)) == ("transport", 1)
    assert "no such model" in completion.detail
    assert str(status) in completion.detail


def test_it_does_not_follow_to_another_address(server):
    with Server() as other:
        server.reply = lambda body: (307, {"Location": other.url + "/chat/completions"}, {})
        completion = one(server)
        assert (completion.error, other.asked) == ("transport", [])
        assert "307" in completion.detail


def test_it_waits_as_long_as_the_server_asks(server):
    server.script((429, {"Retry-After": "0.4"}, {}))
    assert one(server).text == "HELLO"
    assert 0.4 <= server.times[1] - server.times[0] < 0.8


def test_a_server_that_asks_for_no_wait_gets_none(server):
    server.script((429, {"Retry-After": "0"}, {}))
    assert one(server, patience=Patience(first_wait=5.0)).text == "HELLO"
    assert server.times[1] - server.times[0] < 0.5


def test_a_server_that_asks_for_a_date_gets_it(server):
    at = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 2))
    server.script((503, {"Retry-After": at}, {}))
    assert one(server, patience=Patience(first_wait=0.01)).text == "HELLO"
    assert 0.9 <= server.times[1] - server.times[0] < 2.5


@pytest.mark.parametrize("asked", ["soon", "-5", "nan", "inf", "", "1e400"])
def test_a_wait_that_cannot_be_read_falls_back_to_its_own(server, asked):
    server.script((429, {"Retry-After": asked}, {}))
    assert one(server).text == "HELLO"
    assert server.times[1] - server.times[0] < 0.3


@pytest.mark.parametrize(("reset", "least"), [("300ms", 0.3), ("0.2s", 0.2)])
def test_a_rate_limit_that_names_its_end_is_waited_for(server, reset, least):
    server.script((429, {"x-ratelimit-reset-requests": reset}, {}))
    assert one(server).text == "HELLO"
    assert least <= server.times[1] - server.times[0] < least + 0.4


def test_the_end_of_a_rate_limit_does_not_matter_after_another_trouble(server):
    server.script((500, {"x-ratelimit-reset-requests": "60s"}, {}))
    assert one(server).text == "HELLO"
    assert server.times[1] - server.times[0] < 0.3


def test_a_server_that_asks_for_too_long_a_wait_is_not_waited_for(server):
    server.reply = lambda body: (429, {"Retry-After": "3600"}, {})
    started = time.monotonic()
    assert one(server).error == "transport"
    assert len(server.asked) == 1
    assert time.monotonic() - started < 1


def test_a_slow_answer_is_a_timeout(server):
    server.reply = lambda body: (time.sleep(0.5), (200, {}, chat("late")))[1]
    completion = one(server, patience=Patience(attempts=2, first_wait=0.01, timeout=0.1))
    assert (completion.error, completion.text) == ("timeout", "")
    assert len(server.asked) == 2


def test_a_server_that_is_slow_once_is_asked_again(server):
    late = [0.5]
    server.reply = lambda body: (time.sleep(late.pop() if late else 0), (200, {}, chat("yes")))[1]
    assert one(server, patience=Patience(attempts=2, first_wait=0.01, timeout=0.2)).text == "yes"


def test_nobody_at_the_address_is_a_transport_failure():
    with Server() as gone:
        url = gone.url
    completion = endpoint(url).complete([ask("hello")])[0]
    assert completion.error == "transport"
    assert "ConnectError" in completion.detail


def test_a_body_that_cannot_be_unpacked_is_a_failure(server):
    server.reply = lambda body: (200, {"Content-Encoding": "gzip"}, b"not gzip")
    assert one(server).error == "transport"


# --- many at once ---


@pytest.mark.parametrize("at_once", [1, 3])
def test_no_more_requests_are_under_way_than_allowed(server, at_once):
    server.reply = lambda body: (time.sleep(0.03), (200, {}, chat(body["messages"][-1]["content"])))[1]
    requests = [ask(str(number)) for number in range(12)]
    completions = endpoint(server.url, Patience(at_once=at_once)).complete(requests)
    assert [c.text for c in completions] == [str(number) for number in range(12)]
    assert server.most_at_once == at_once


def test_whoever_stops_does_not_wait_until_a_busy_server_is_free(server):
    def busy_but_once(body):
        return (200, {}, chat("yes")) if body["messages"][-1]["content"] == "0" else (503, {}, {})

    def stop(index, completion):
        raise KeyboardInterrupt

    server.reply = busy_but_once
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        endpoint(server.url, Patience(at_once=2, first_wait=20)).complete([ask(str(n)) for n in range(4)], stop)
    assert time.monotonic() - started < 5


def test_whoever_stops_is_not_kept_waiting_for_all_the_others(server):
    server.reply = lambda body: (time.sleep(0.02), (200, {}, chat("yes")))[1]

    def stop(index, completion):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        endpoint(server.url, Patience(at_once=2)).complete([ask(str(n)) for n in range(100)], stop)
    assert len(server.asked) < 20


# --- the key ---


def test_the_key_comes_from_the_environment_and_is_written_nowhere(server, monkeypatch):
    monkeypatch.setenv("TINY_KEY", SECRET)
    model = endpoint(server.url, api_key_env="TINY_KEY")
    server.script((401, {}, {"error": "bad key"}))
    completion = model.complete([ask("hello")])[0]
    assert server.headers[0]["Authorization"] == f"Bearer {SECRET}"
    assert (
        SECRET not in json.dumps(server.asked) + completion.model_dump_json() + repr(model) + str(model) + model.digest
    )
    monkeypatch.setenv("TINY_KEY", "another")
    assert endpoint(server.url, api_key_env="TINY_KEY").digest == model.digest == endpoint(server.url).digest


def test_a_key_that_the_server_repeats_is_not_kept(server, monkeypatch):
    monkeypatch.setenv("TINY_KEY", SECRET)
    server.reply = lambda body: (401, {}, {"error": f"bad key {SECRET}"})
    completion = endpoint(server.url, api_key_env="TINY_KEY").complete([ask("hello")])[0]
    assert SECRET not in completion.detail
    assert "bad key" in completion.detail


def test_no_key_is_sent_where_none_is_named(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    one(server)
    assert "Authorization" not in server.headers[0]


def test_a_key_that_is_not_set_is_refused(server, monkeypatch):
    monkeypatch.delenv("TINY_KEY", raising=False)
    with pytest.raises(ModelError, match="TINY_KEY is not set"):
        endpoint(server.url, api_key_env="TINY_KEY")


def test_a_line_end_after_the_key_does_not_matter(server, monkeypatch):
    monkeypatch.setenv("TINY_KEY", f" {SECRET}\n")
    endpoint(server.url, api_key_env="TINY_KEY").complete([ask("hello")])
    assert server.headers[0]["Authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize("key", ["sk-geh\neim", "sk-gehäim", "sk-geh\x00eim", " \n"])
def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(server, monkeypatch, key):
    # an environment variable cannot hold a zero byte, but a mapping in its place can
    monkeypatch.setattr("os.environ", {"TINY_KEY": key})
    with pytest.raises(ModelError, match="TINY_KEY") as refused:
        endpoint(server.url, api_key_env="TINY_KEY")
    assert "sk-geh" not in str(refused.value)


def test_no_proxy_of_the_environment_is_used(server, monkeypatch):
    with Server() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert one(server).text == "HELLO"
        assert proxy.asked == []


# --- names ---


def test_the_digest_names_endpoint_and_model(server):
    names = {
        open_endpoint(ModelChoice(base=base, endpoint=url), privacy="any").digest
        for base in ("a", "b")
        for url in ("http://localhost:1/v1", "http://localhost:2/v1")
    }
    assert len(names) == 4


def test_scores_of_given_labels_are_not_offered(server):
    model = endpoint(server.url)
    assert model.constraint_problem(ask("?", constraint=labels("a", "b", how="score")))
    assert model.constraint_problem(ask("?", constraint=labels("a", "b"))) == ""
    assert model.constraint_problem(ask("?")) == ""
    assert model.count_tokens(ask("?").messages) is None
