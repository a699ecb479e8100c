"""The behaviour fingerprint: few questions with known answers, to tell whether what is loaded is what was measured.

The most frequent failure in production is silent: the adapter loads, is listed, and the base model answers
(evidence: operations, 2.2). Questions are therefore chosen on which trained and untrained weights differ, and among
those the ones that the release is most sure of, so that rounding cannot flip them. For the same reason a base with
rounded weights passes them; so the log-probabilities of the answers that it is least sure of are recorded as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from tuneworthy.answering import Answerer
from tuneworthy.content import canonical_json
from tuneworthy.errors import GateRefused
from tuneworthy.records import Input, Message, Record
from tuneworthy.release.records import Fingerprint, Probe, Spoken
from tuneworthy.seams import Telling

PROBES = 16
"""One probe detects an adapter that is missing as a whole; a dozen or more catch a partial loss (operations, 2.3)."""
AGREE = 0.9
"""least share of probes that must be answered word for word as recorded"""
LOGPROB_GAP = 0.1
"""largest mean difference of an answer's log-probability, nats: 0 on the same machine, little with other kernels"""

DOUBT_GAP = {"torch.float32": 0.002}
"""precision → the same for the answers that it is least sure of. Measured in float32 on the pocket model tuned for
ticket-triage: the same files 0, its base rounded to bfloat16 0.0055, to 8 bits 0.0138, to 4 bits 0.30."""
DOUBT_GAP_ELSE = 0.05
"""in other precisions, where kernels differ by more: not measured, so 8 bits may pass there"""


class Check(Record):
    """One thing that was looked at when a release was loaded."""

    what: str
    state: str
    """passed, failed, or not measured"""
    found: str = ""


def take(release: Answerer, untrained: Answerer | None, inputs: Sequence[Input]) -> Fingerprint:
    """Ask both and keep the questions that tell them apart best.

    Args:
        untrained: the same candidate without trained weights; None where nothing was trained.
        inputs: development inputs, shape: any number; at most 16 are kept.

    Raises:
        GateRefused: nothing to ask, or the trained weights change no answer.
    """
    if not inputs:
        raise GateRefused(
            "a release needs development rows to take its fingerprint from",
            why="without questions with known answers nobody could tell whether what is served is what was measured",
            next="add examples: tuneworthy data import FILE",
        )
    probes = _probes(release, untrained, inputs)
    doubtful = sorted(
        (probe for probe in probes if probe.answer.logprob is not None), key=lambda probe: probe.answer.logprob or 0.0
    )[:PROBES]
    if untrained is not None:
        probes = [probe for probe in probes if probe.tells_apart]
        if not probes:
            raise GateRefused(
                f"the trained weights change none of {len(inputs)} answers",
                why="the adapter is not effective, so nothing was measured that could be released",
                next="run: tuneworthy run",
            )
    probes = sorted(probes, key=lambda probe: -(probe.answer.logprob or 0.0))[:PROBES]
    messages = _messages(release, probes[0].input)
    return Fingerprint(
        messages=_plain(messages),
        prompt=_prompt(release, messages),
        probes=tuple(probes),
        doubtful=tuple(probe.model_copy(update={"untrained": None}) for probe in doubtful),
        must_differ=untrained is not None,
    )


def check(fingerprint: Fingerprint, release: Answerer) -> list[Check]:
    """Ask again: prompt, effect of the trained weights, answers, log-probabilities."""
    now = _probes(release, None, [probe.input for probe in fingerprint.probes])
    return [
        _same_prompt(fingerprint, release),
        effect(fingerprint, [probe.answer.text for probe in now]),
        agreement(fingerprint, [probe.answer.text for probe in now]),
        _same_confidence(fingerprint, [probe.answer for probe in now]),
        _same_doubt(fingerprint, release),
    ]


def effect(fingerprint: Fingerprint, answers: Sequence[str]) -> Check:
    """Do the trained weights act? Judged on the questions that trained and untrained answer differently."""
    what = "the trained weights act"
    if not fingerprint.must_differ:
        return Check(what=what, state="not measured", found="nothing was trained")
    pairs = list(zip(fingerprint.probes, answers, strict=True))
    same = sum(probe.untrained is not None and text == probe.untrained.text for probe, text in pairs)
    state = "passed" if same == 0 else "failed"
    return Check(what=what, state=state, found=f"{same} of {len(pairs)} answers are those of the untrained model")


def agreement(fingerprint: Fingerprint, answers: Sequence[str]) -> Check:
    """Are the answers those that were recorded?"""
    pairs = list(zip(fingerprint.probes, answers, strict=True))
    same = sum(probe.answer.text == text for probe, text in pairs)
    state = "passed" if same >= AGREE * len(pairs) else "failed"
    return Check(what="answers as recorded", state=state, found=f"{same} of {len(pairs)} word for word")


def _same_prompt(fingerprint: Fingerprint, release: Answerer) -> Check:
    what = "prompt as recorded"
    messages = _messages(release, fingerprint.probes[0].input)
    if _plain(messages) != fingerprint.messages:
        return Check(what=what, state="failed", found="another prompt or chat template is in use")
    told = _prompt(release, messages)
    if not told and fingerprint.prompt:
        return Check(what=what, state="not measured", found="the messages are; the engine does not show its template")
    same = told == fingerprint.prompt
    found = "byte for byte" if same else "another prompt or chat template is in use"
    return Check(what=what, state="passed" if same else "failed", found=found)


def _same_confidence(fingerprint: Fingerprint, now: Sequence[Spoken]) -> Check:
    what = "log-probabilities as recorded"
    gaps = [
        abs(before.answer.logprob - after.logprob)
        for before, after in zip(fingerprint.probes, now, strict=True)
        if before.answer.logprob is not None and after.logprob is not None and before.answer.text == after.text
    ]
    if not gaps:
        return Check(what=what, state="not measured", found="this engine does not tell them")
    gap = fmean(gaps)
    state = "passed" if gap <= LOGPROB_GAP else "failed"
    return Check(what=what, state=state, found=f"mean difference {gap:.4f} nats, at most {LOGPROB_GAP} allowed")


def _same_doubt(fingerprint: Fingerprint, release: Answerer) -> Check:
    """The recorded texts as answers, whatever would be answered now: nothing flips, so small changes show."""
    what = "doubt as recorded"
    now = [_logprob(release, probe.input, probe.answer.text) for probe in fingerprint.doubtful]
    gaps = [
        abs(probe.answer.logprob - told)
        for probe, told in zip(fingerprint.doubtful, now, strict=True)
        if probe.answer.logprob is not None and told is not None
    ]
    if not gaps:
        told = "this engine does not tell log-probabilities" if fingerprint.doubtful else "not recorded by this version"
        return Check(what=what, state="not measured", found=told)
    gap = fmean(gaps)
    most = DOUBT_GAP.get(str(getattr(getattr(release.model, "network", None), "dtype", "")), DOUBT_GAP_ELSE)
    found = f"log-probabilities of {len(gaps)} unsure answers differ by {gap:.4f} nats, at most {most} allowed"
    return Check(what=what, state="passed" if gap <= most else "failed", found=found)


def _probes(release: Answerer, untrained: Answerer | None, inputs: Sequence[Input]) -> list[Probe]:
    spoken = _ask(release, inputs)
    before = _ask(untrained, inputs) if untrained is not None else [None] * len(inputs)
    return [
        Probe(input=dict(row), answer=answer, untrained=other)
        for row, answer, other in zip(inputs, spoken, before, strict=True)
    ]


def _ask(answerer: Answerer, inputs: Sequence[Input]) -> list[Spoken]:
    answers = answerer.answer(inputs)
    failed = next((answer for answer in answers if answer.error is not None), None)
    if failed is not None:
        raise GateRefused(
            f"a probe was not answered: {failed.error}: {failed.detail}",
            why="a failure is no answer, so nothing can be compared",
            next="see that the model answers, then run the same command again",
        )
    return [
        Spoken(text=answer.text, logprob=_logprob(answerer, row, answer.text))
        for row, answer in zip(inputs, answers, strict=True)
    ]


def _logprob(answerer: Answerer, row: Input, text: str) -> float | None:
    if answerer.candidate.classifier is not None or not isinstance(answerer.model, Telling):
        return None
    return answerer.model.answer_logprob(answerer.request(row, answerer.passages(row)), text)


def _messages(answerer: Answerer, row: Input) -> tuple[Message, ...]:
    if answerer.candidate.prompt is None:
        return ()
    return answerer.messages(row, answerer.passages(row))


def _prompt(answerer: Answerer, messages: Sequence[Message]) -> str:
    return answerer.model.rendered(messages) if messages and isinstance(answerer.model, Telling) else ""


def _plain(messages: Sequence[Message]) -> str:
    return canonical_json([message.model_dump(mode="json") for message in messages])
