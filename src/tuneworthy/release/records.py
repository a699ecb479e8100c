"""What a release says of itself: `manifest.json`. A public file format.

    Manifest ── candidate       what answers: prompt, shots, constraint, retriever, adapter, decoding
             ├─ base            the model under it, by the hash of each of its files
             ├─ measured        score, comparisons and verdict of the run
             ├─ fingerprint     questions with known answers, to tell whether what is loaded is what was measured
             └─ files           path → SHA-256 of everything else in the folder

A release is named `<use case>--v<number>-<first 12 digits of the manifest's hash>`, so a name is never used twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, JsonValue

from tuneworthy.content import digest
from tuneworthy.plan.records import Licence
from tuneworthy.records import Candidate, Comparison, Input, Record
from tuneworthy.runs import ArmReport
from tuneworthy.verdict import Decision

MANIFEST = "manifest.json"


class FileHash(Record):
    """A file of the release."""

    sha256: str
    bytes: int


class BaseModelRef(Record):
    """The base model, which is not part of the release: it is named by its hashes."""

    name: str
    revision: str = ""
    endpoint: str = ""
    identity: str
    """weights, tokenizer, chat template and precision together; or the endpoint"""
    files: dict[str, str] = {}
    """file name → SHA-256; empty for an endpoint"""


class Spoken(Record):
    """What was answered to one question."""

    text: str
    logprob: float | None = None
    """total log-probability in nats; None where the model does not tell it"""


class Probe(Record):
    """A question with a known answer."""

    input: Input
    answer: Spoken
    untrained: Spoken | None = None
    """the same candidate without its trained weights; None where nothing was trained"""

    @property
    def tells_apart(self) -> bool:
        """The trained weights change this answer."""
        return self.untrained is not None and self.untrained.text != self.answer.text


class Fingerprint(Record):
    """How what was measured behaves, in few questions."""

    messages: str
    """the first question as chat messages, canonical JSON"""
    prompt: str
    """the first question as the chat template writes it; empty where the template is not here"""
    probes: tuple[Probe, ...]
    doubtful: tuple[Probe, ...] = ()
    """the answers that it is least sure of: rounded weights show there first; none in releases of earlier versions"""
    must_differ: bool
    """weights were trained, so answers must differ from the untrained ones where they did"""


class Measured(Record):
    """What the run found out about this candidate."""

    run: str
    arm: ArmReport
    comparisons: tuple[Comparison, ...] = ()
    decision: Decision
    sentences: tuple[str, str, str]
    not_measured: tuple[str, ...] = ()


class Manifest(Record):
    """Everything that a release is."""

    format: Literal[1] = 1
    number: int
    made: str
    """ISO 8601 with time zone"""
    usecase: dict[str, JsonValue]
    """resolved; documents and other files by their place in the release"""
    candidate: Candidate
    base: BaseModelRef
    data_version: str
    suite_lock: str
    measured: Measured
    override: str = ""
    """the written reason for releasing against the verdict"""
    fingerprint: Fingerprint
    licence: Licence | None = None
    """what the licences of base model, teachers and rows ask; None where they could not be looked up"""
    versions: dict[str, str]
    """library → version"""
    files: dict[str, FileHash] = Field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the release, and of its folder."""
        return self.named(self.model_dump(mode="json"))

    @staticmethod
    def named(plain: Mapping[str, Any]) -> str:
        """The name of a manifest as it stands in its file: later versions know fields that it does not have."""
        return f"{plain['usecase']['name']}--v{plain['number']:04}-{digest(plain)[:12]}"
