"""The model card: what somebody who was not there has to know. Markdown with the metadata that model hubs read."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tuneworthy.records import Comparison
from tuneworthy.release.records import Manifest

FILE, NOTICE = "README.md", "NOTICE.md"


def page(manifest: Manifest) -> str:
    """Markdown, the front matter included."""
    return "\n".join([*_front(manifest), "", *_body(manifest)]) + "\n"


def _front(manifest: Manifest) -> Iterator[str]:
    yield "---"
    yield f"base_model: {json.dumps(manifest.base.name)}"
    if manifest.candidate.adapter is not None:
        yield "base_model_relation: adapter"
        yield "library_name: peft"
    elif manifest.candidate.tuned is not None:
        yield "base_model_relation: finetune"
        yield "library_name: transformers"
    yield from _licence(manifest)
    yield "tags: [tuneworthy]"
    yield from _result(manifest)
    yield "---"


def _licence(manifest: Manifest) -> Iterator[str]:
    """The licence of the base model, which holds for what was made of it."""
    links = manifest.licence.links if manifest.licence else ()
    found = next((link.licence for link in links if link.role in ("model", "base") and link.licence), "")
    if found:
        yield f"license: {found}"
    else:
        yield "license: other"
        yield f"license_link: {NOTICE}"


def _result(manifest: Manifest) -> Iterator[str]:
    """The measured score, as model hubs list results."""
    interval, bar = manifest.measured.arm.interval, manifest.usecase["bar"]
    if interval is None or not isinstance(bar, dict):
        return
    name, metric = json.dumps(str(manifest.usecase["name"])), json.dumps(str(bar["metric"]))
    yield "model-index:"
    yield f"- name: {name}"
    yield "  results:"
    yield f"  - task: {{type: text-generation, name: {name}}}"
    yield f"    dataset: {{type: private, name: locked suite, revision: {manifest.suite_lock[:12]!r}}}"
    yield f"    metrics: [{{type: {metric}, value: {interval.value:.4f}}}]"


def _body(manifest: Manifest) -> Iterator[str]:
    usecase, measured, candidate = manifest.usecase, manifest.measured, manifest.candidate
    yield f"# {usecase['name']}, version {manifest.number}"
    yield ""
    yield str(usecase["description"] or "_No description is given in usecase.toml._")
    yield ""
    yield "## What it does"
    yield ""
    yield f"{usecase['instruction']}"
    yield ""
    yield f"Lever: `{candidate.lever}`, on `{manifest.base.name}` (`{manifest.base.identity[:12]}`)."
    yield ""
    yield "## What was measured"
    yield ""
    yield f"{_score(manifest)} Suite `{manifest.suite_lock[:12]}`, data `{manifest.data_version[:12] or 'none'}`, run "
    yield f"`{measured.run}`."
    yield ""
    yield from (f"- {_compared(comparison)}" for comparison in measured.comparisons)
    yield ""
    yield f"Verdict: **{measured.decision.replace('_', ' ')}**. {measured.sentences[1]}"
    if manifest.override:
        yield ""
        yield f"Released against the verdict: {manifest.override}"
    yield ""
    yield "## What was not measured"
    yield ""
    yield from (f"- {line}" for line in measured.not_measured)
    yield ""
    yield f"Licence duties: [{NOTICE}]({NOTICE})."
    yield ""
    yield "## What it holds of the data"
    yield ""
    if manifest.data_version:
        yield "Where the examples come from and what was found in them: [DATA.md](DATA.md). "
    yield "`cases.jsonl` holds the locked cases: keep this folder as private as they are."
    if candidate.shots is not None or candidate.classifier is not None:
        yield "`examples.jsonl` holds training rows, because answers depend on them."


def notice(manifest: Manifest) -> str:
    """What the licences ask. Information, not legal advice."""
    return "\n".join(_notice(manifest)) + "\n"


def _notice(manifest: Manifest) -> Iterator[str]:
    held = manifest.licence
    yield f"# Licences of {manifest.usecase['name']}, version {manifest.number}"
    yield ""
    if held is None:
        yield "Not looked up: the weights of the base model are not here. Ask whoever serves it."
        return
    yield f"The intended use is **{held.answer}**. Information, not legal advice."
    yield ""
    yield from (
        f"- {link.name} ({link.role}): {link.licence or 'licence not known'}, {link.answer}" for link in held.links
    )
    for title, lines in (
        ("What has to be done", [f"{duty.text}" + (f": {duty.value}" if duty.value else "") for duty in held.duties]),
        ("What has to be asked", list(held.questions)),
        ("What contradicts itself", list(held.contradictions)),
    ):
        if lines:
            yield from ("", f"## {title}", "", *(f"- {line}" for line in lines))


def _score(manifest: Manifest) -> str:
    arm = manifest.measured.arm
    if arm.interval is None:
        return "No score could be given an interval."
    found = arm.interval
    return f"{100 * found.value:.1f} % ({100 * found.low:.1f}–{100 * found.high:.1f}, n = {arm.n})."


def _compared(comparison: Comparison) -> str:
    found = comparison.difference
    told = (
        "no interval"
        if found is None
        else f"{100 * found.value:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
    )
    return f"{comparison.candidate} against {comparison.reference}: {told} points, n = {comparison.n}"
