"""Which tokens carry loss, decided by where the renderer put them: never by token ids, never by marker strings.

    full    <s> [user turn] [assistant header]  the answer  <end>  [user turn] [header]  more  <end>
    loss                                        ██████████  █████                        ████  █████

An answer starts where the prompt before it ends (ids(prompt) must be a prefix of ids(full)). It ends where the rest
of the rendering no longer changes with its content; the first stop token after that is trained with it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from tuneworthy.content import digest
from tuneworthy.errors import ModelError, TrainingError
from tuneworthy.models.local.rendering import chat_ids
from tuneworthy.records import Message, Record
from tuneworthy.training.batches import IGNORED, EncodedRow, collate

LISTED = 20
"""rows that an error names before it only counts"""


class TrainingRow(Record):
    """A conversation to learn from; every assistant turn is an expected output."""

    name: str
    messages: tuple[Message, ...]
    where: str = ""
    """what errors call it: file and line; empty = its name"""

    @property
    def called(self) -> str:
        return self.where or self.name


class LossReport(Record):
    """What training would learn from, told before the first step."""

    rows: int
    answers: int
    """assistant turns"""
    tokens: int
    trained_tokens: int
    stops_trained: int
    """answers whose stop token carries loss; encoding refuses rows where it would not"""
    stop_tokens: tuple[str, ...]
    longest: int
    """tokens of the longest row"""
    truncated: int = 0
    """always 0: a row is taken whole, refused or left out whole"""
    skipped: tuple[str, ...] = ()
    """rows left out because they are too long"""

    @property
    def share(self) -> float:
        """Trained tokens / tokens."""
        return self.trained_tokens / self.tokens

    def __str__(self) -> str:
        return (
            f"{self.rows:,} rows, {self.tokens:,} tokens (longest row {self.longest:,}); {self.trained_tokens:,} tokens"
            f" ({self.share:.1%}) carry loss: the answers and their stop tokens; stop token"
            f" {' '.join(self.stop_tokens)} trained in {self.stops_trained:,} of {self.answers:,} answers;"
            f" {self.truncated} rows cut, {len(self.skipped)} left out as too long"
        )


@dataclass(frozen=True)
class Encoded:
    """Rows ready to be trained on."""

    rows: tuple[EncodedRow, ...]
    report: LossReport
    stop_ids: frozenset[int]
    """stop tokens that are trained"""

    @cached_property
    def digest(self) -> str:
        """Names the data of a training: every token and whether it carries loss, in order."""
        return digest([[row.name, row.ids, [int(flag) for flag in row.carries_loss]] for row in self.rows])


def encode(
    tokenizer: Any,
    rows: Sequence[TrainingRow],
    max_length: int,
    *,
    stop_ids: Collection[int] | None = None,
    on_too_long: Literal["refuse", "skip"] = "refuse",
) -> Encoded:
    """Render and tokenise rows, and decide which tokens carry loss.

    Args:
        max_length: longest row in tokens; nothing is ever cut.
        stop_ids: tokens that end generation (`Base.stop_ids`); None = the tokenizer's end-of-sequence token.

    Raises:
        TrainingError: rows that cannot be trained on, listed by name: too long, a prompt that is no prefix, no stop
            token after an answer, two beginning-of-sequence tokens, an empty answer; or no rows at all.
    """
    stops = frozenset(stop_ids if stop_ids is not None else {tokenizer.eos_token_id} - {None})
    if not stops:
        raise TrainingError("the tokenizer has no stop token", next="use the instruct version of the base model")
    _check_roles(tokenizer, rows)
    encoder = _Encoder(tokenizer, stops, max_length)
    encoded = [done for row in rows if (done := encoder.row(row)) is not None]
    if encoder.problems or (encoder.too_long and on_too_long == "refuse"):
        _refuse([*encoder.problems, *encoder.too_long.values()], len(rows))
    if not encoded:
        raise TrainingError(
            f"no row is left to learn from ({len(encoder.too_long)} of {len(rows)} are too long)",
            next="give training examples, or raise max_length",
        )
    report = LossReport(
        rows=len(encoded),
        answers=encoder.answers,
        tokens=sum(len(row.ids) for row in encoded),
        trained_tokens=sum(row.trained for row in encoded),
        stops_trained=encoder.answers,
        stop_tokens=tuple(tokenizer.convert_ids_to_tokens(sorted(encoder.stops_seen))),
        longest=max(len(row.ids) for row in encoded),
        skipped=tuple(encoder.too_long),
    )
    return Encoded(rows=tuple(encoded), report=report, stop_ids=frozenset(encoder.stops_seen))


def show_mask(tokenizer: Any, row: EncodedRow) -> list[tuple[str, bool]]:
    """(token text, carries loss) for each token, read from the very tensors that reach the loss."""
    batch = collate([row])
    ids, targets = batch.ids_BT[0].tolist(), batch.targets_BT[0].tolist()
    carries = [False, *(target != IGNORED for target in targets[:-1])]
    return [(tokenizer.decode([token]), flag) for token, flag in zip(ids, carries, strict=True)]


class _RowError(Exception):
    """Why one row cannot be trained on; collected, so that all bad rows are listed at once."""


class _Encoder:
    def __init__(self, tokenizer: Any, stops: frozenset[int], max_length: int) -> None:
        self.tokenizer, self.stops, self.max_length = tokenizer, stops, max_length
        self.problems: list[str] = []
        self.too_long: dict[str, str] = {}
        self.answers = 0
        self.stops_seen: set[int] = set()
        self._closing: list[int] | None = None

    def row(self, row: TrainingRow) -> EncodedRow | None:
        """The encoded row, or None with the reason kept in `problems` or `too_long`."""
        try:
            full, spans = self._spans(row.messages)
        except (_RowError, ModelError) as problem:
            self.problems.append(f"{row.called}: {problem}")
            return None
        carries_loss = [False] * len(full)
        for start, end in spans:
            carries_loss[start:end] = [True] * (end - start)
        if len(full) > self.max_length:
            cut = sum(carries_loss[self.max_length :])
            self.too_long[row.called] = (
                f"{row.called}: {len(full)} tokens, limit {self.max_length}; a cut would remove {cut} tokens of the"
                f" expected output and {len(full) - self.max_length - cut} of the prompt"
            )
            return None
        self.answers += len(spans)
        self.stops_seen |= {full[end - 1] for _, end in spans}
        return EncodedRow(row.name, tuple(full), tuple(carries_loss))

    def _spans(self, messages: tuple[Message, ...]) -> tuple[list[int], list[tuple[int, int]]]:
        """All ids, and [start, end) of each answer with its stop token."""
        turns = [turn for turn, message in enumerate(messages) if message.role == "assistant"]
        if not turns:
            raise _RowError("no assistant turn, so no token would be trained")
        if turns[0] == 0 or messages[-1].role != "assistant":
            raise _RowError("a row starts with a prompt and ends with an expected output")
        full = chat_ids(self.tokenizer, messages, generation=False)
        self._check_beginning(full)
        return full, [self._span(messages, turn, full) for turn in turns]

    def _span(self, messages: tuple[Message, ...], turn: int, full: list[int]) -> tuple[int, int]:
        prompt = chat_ids(self.tokenizer, messages[:turn], generation=True)
        start = len(prompt)
        if full[:start] != prompt:
            raise _RowError(
                f"the prompt before turn {turn + 1} is not how the whole conversation begins: the chat template changes"
                " earlier turns, or a token spans the border between prompt and answer"
            )
        content_end = len(full) - self._closing_length(messages, turn, full)
        if content_end <= start or not messages[turn].content.strip():
            raise _RowError(f"the expected output (turn {turn + 1}) is empty")
        for place in range(content_end, len(full)):
            if full[place] in self.stops:
                return start, place + 1
            if self.tokenizer.decode([full[place]]).strip():
                break
        raise _RowError(
            f"the chat template puts no stop token after the expected output (turn {turn + 1}), so a trained model"
            f" would not learn to stop; tokens that end generation: {self._stop_names()}"
        )

    def _closing_length(self, messages: tuple[Message, ...], turn: int, full: list[int]) -> int:
        """Tokens at the end of the rendering that stay the same whatever the answer of this turn is."""
        last = turn == len(messages) - 1
        known = self._closing
        if last and known and full[-len(known) :] == known:
            return len(known)
        same = len(full)
        for probe in ("a", "b"):  # two endings: the answer can share its last token with at most one of them
            other = chat_ids(self.tokenizer, _with_content(messages, turn, probe), generation=False)
            same = min(same, _common_suffix(full, other))
        # A closing that starts with a special token never merges with an answer: it holds for every row.
        if last and same and full[-same] in self.tokenizer.all_special_ids:
            self._closing = full[-same:]
        return same

    def _check_beginning(self, full: list[int]) -> None:
        bos = self.tokenizer.bos_token_id
        if bos is not None and (full[:2] == [bos, bos] or (bos not in self.stops and full.count(bos) > 1)):
            raise _RowError(
                f"more than one beginning-of-sequence token {self.tokenizer.bos_token!r}: remove it from the text"
            )

    def _stop_names(self) -> str:
        return ", ".join(map(repr, self.tokenizer.convert_ids_to_tokens(sorted(self.stops))))


def _with_content(messages: tuple[Message, ...], turn: int, content: str) -> tuple[Message, ...]:
    changed = Message(role=messages[turn].role, content=content)
    return (*messages[:turn], changed, *messages[turn + 1 :])


def _common_suffix(left: Sequence[int], right: Sequence[int]) -> int:
    count = 0
    while count < min(len(left), len(right)) and left[-1 - count] == right[-1 - count]:
        count += 1
    return count


def _check_roles(tokenizer: Any, rows: Sequence[TrainingRow]) -> None:
    """Refuse a chat template that drops a role in silence: another content must give another rendering."""
    first = {message.role: (row, turn) for row in reversed(rows) for turn, message in enumerate(row.messages)}
    for role, (row, turn) in first.items():
        changed = _with_content(row.messages, turn, f"{row.messages[turn].content} b")
        same = chat_ids(tokenizer, row.messages, generation=False)
        if chat_ids(tokenizer, changed, generation=False) == same:
            raise TrainingError(
                f"the chat template of the base model drops messages of role {role!r}",
                why="the model would be trained without what those messages say",
                next="put the text into a user message, or use a base model whose template knows this role",
                where=row.called,
            )


def _refuse(problems: Sequence[str], rows: int) -> None:
    listed = [f"  · {problem}" for problem in problems[:LISTED]]
    more = [f"  … and {len(problems) - LISTED} more"] if len(problems) > LISTED else []
    raise TrainingError(
        "\n".join([f"{len(problems)} of {rows} rows cannot be trained on:", *listed, *more]),
        why="training on them would teach something else than the expected output",
        next='correct them; too long ones: raise max_length, or leave them out with on_too_long = "skip"',
    )
