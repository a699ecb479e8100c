"""The levers that change weights: LoRA, LoRA on retrieved passages, and full fine-tuning. One recipe serves all three.

    rows in the winning prompt → rates screened on a share of the steps → finalist and other seeds → scale → candidate

Everything is decided on the development split; the base model answers through the same `answer()` as every other arm.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tuneworthy.answering import Answerer
from tuneworthy.content import digest
from tuneworthy.levers.bench import Bench, not_applicable, not_tried
from tuneworthy.levers.rag import without_shots
from tuneworthy.measure import memorisation, retention
from tuneworthy.measure.overfit import Mark
from tuneworthy.models.local.files import weights_digest
from tuneworthy.plan.method import FULL_EXAMPLES
from tuneworthy.records import AdapterRef, Candidate, Example, LeverResult, Message, Passage, TunedRef
from tuneworthy.rendering import render_expected
from tuneworthy.retrievers.examples import query_text
from tuneworthy.seams import Tunable
from tuneworthy.training.recipe import SCREENED

if TYPE_CHECKING:
    from tuneworthy.training.choice import Point
    from tuneworthy.training.delivery import Trained
    from tuneworthy.training.network import Base
    from tuneworthy.training.recipe import Recipe, Suggestion
    from tuneworthy.training.run import Progress, Training
    from tuneworthy.training.tokens import Encoded, TrainingRow

Method = Literal["lora", "full"]

SCALES = (1.0, 0.9, 0.75, 0.5)
"""of an adapter; below 1 it forgets less (science page, S3)"""
WITHOUT_GOLD = 5
"""one row in so many is taught without the passage that holds its answer (RAFT, arXiv 2403.10131)"""


class LoraLever:
    """LoRA on the winning prompt."""

    name = "lora"
    trains = True

    def propose(self, bench: Bench) -> tuple[Candidate | None, LeverResult]:
        """The adapter that does best on the development split."""
        return _propose(bench, self.name, on="prompt", method="lora")


class RagLoraLever:
    """LoRA with retrieved passages in the prompt."""

    name = "rag_lora"
    trains = True

    def propose(self, bench: Bench) -> tuple[Candidate | None, LeverResult]:
        """The adapter that does best on the development split."""
        if bench.project.docs is None:
            return not_applicable(self.name, 'the use case needs no documents (change.knowledge = "none")')
        return _propose(bench, self.name, on="rag", method="lora")


class FullLever:
    """All weights: the exception, after LoRA was measured and fell short."""

    name = "full"
    trains = True

    def propose(self, bench: Bench) -> tuple[Candidate | None, LeverResult]:
        """The tuned model that does best on the development split."""
        if "lora" not in bench.found:
            return not_tried(self.name, "LoRA comes first, and it was not measured")
        if len(bench.train) < FULL_EXAMPLES:
            return not_tried(
                self.name, f"{len(bench.train):,} examples to learn from; full fine-tuning takes {FULL_EXAMPLES:,}"
            )
        return _propose(bench, self.name, on="prompt", method="full")


def loss_mask(bench: Bench, lever: str, rows: int) -> tuple[str, list[list[tuple[str, bool]]]]:
    """What training would learn from: the report, and for some rows (token text, carries loss) from the very tensors
    that reach the loss.

    Raises:
        TrainingError: a row cannot be trained on.
        ModelError: the base model's weights are not here.
    """
    from tuneworthy.training.tokens import show_mask

    start = without_shots(bench.found["rag" if lever == "rag_lora" else "prompt"])
    tuning = Tuning(bench, lever, start, "full" if lever == "full" else "lora")
    chosen = tuning.encoded.rows[:rows]
    return str(tuning.encoded.report), [show_mask(tuning.base.tokenizer, row) for row in chosen]


def screened_rate(bench: Bench) -> tuple[float | None, str]:
    """The learning rate that LoRA would take on all examples, and why there is none."""
    return Tuning(bench, "lora", bench.found["prompt"], "lora").screened()


def trained_on(bench: Bench, rows: Sequence[Example], *, rate: float, seed: int, label: str) -> Candidate:
    """LoRA on some of the rows, with its last weights: none are chosen on cases that are to judge them."""
    return Tuning(replace(bench, train=tuple(rows)), "lora", bench.found["prompt"], "lora").last(rate, seed, label)


def retrained(bench: Bench, lever: str, rows: Sequence[tuple[Message, ...]]) -> tuple[Candidate, Trained]:
    """A lever's finalist trained once more with further rows among its own: a copy to be probed, never delivered.

    Args:
        rows: conversations that end with what is to be learnt.
    """
    candidate = bench.found[lever]
    start = bench.found["rag" if candidate.retriever else "prompt"]
    tuning = Tuning(bench, lever, start, "full" if candidate.tuned else "lora", extra=tuple(rows))
    done = tuning.train_once(bench.rates[lever])
    return tuning.candidate(Path(done.folder), done.weights, 1.0), done


def _propose(bench: Bench, lever: str, *, on: str, method: Method) -> tuple[Candidate | None, LeverResult]:
    start = bench.found.get(on)
    if start is None:
        return not_tried(lever, f"{on} could not be measured, and training builds on it")
    if not isinstance(bench.sources.model, Tunable):
        return not_tried(lever, "the weights of the base model are not here")
    if not bench.train:
        return not_applicable(lever, "there are no examples to learn from")
    return Tuning(bench, lever, without_shots(start), method).propose()


@dataclass
class Tuning:
    """One lever at work."""

    bench: Bench
    lever: str
    start: Candidate
    """what is trained: its prompt, passages and decoding stay as they are"""
    method: Method
    extra: tuple[tuple[Message, ...], ...] = ()
    """conversations to learn beside the task's rows"""
    trials: list[dict[str, Any]] = field(default_factory=list)

    def train_once(self, rate: float) -> Trained:
        """One training at this rate."""
        label = f"{self.lever}, with {len(self.extra)} further rows"
        (done,) = self._train_all([(rate, self.bench.usecase.seed, label)])
        return done

    def propose(self) -> tuple[Candidate | None, LeverResult]:
        """Screen, train, weaken, adopt."""
        self.bench.tell(f"{self.lever}: {self.encoded.report}", 0, 1)
        rate, why_not = self.screened()
        if rate is None:
            return None, LeverResult(lever=self.lever, state="not_tried", reason=why_not, trials=tuple(self.trials))
        seeds = range(self.bench.usecase.seed, self.bench.usecase.seed + self.bench.usecase.budget.seeds)
        trained = self._train_all([(rate, seed, f"{self.lever}, seed {seed}") for seed in seeds])
        for seed, done in zip(seeds, trained, strict=True):
            self._note(done.chosen, rate=rate, seed=seed, share=1.0)
        first = trained[0]
        self.bench.tell(f"{self.lever}: {first.sharing}", 1, 1)
        if first.chosen.dev is None:
            reason = f"the finalist has no development score: it {first.stopped}"
            return None, LeverResult(lever=self.lever, state="failed", reason=reason, trials=tuple(self.trials))
        self.bench.rates[self.lever] = rate
        self.bench.histories[self.lever] = (tuple(map(_mark, first.history)), first.chosen.step)
        scale = self._scale(first)
        candidates = [self._weakened(t, scale) for t in trained]
        self.bench.other_seeds[self.lever] = tuple(candidates[1:])
        for number, other in enumerate(candidates[1:], start=1):
            name = f"{self.lever}/seed-{number}"
            self.bench.dev_arms[name] = self.bench.try_out(other, name)
        self._look_for_memories(candidates[0])
        return self.bench.adopt(
            self.lever,
            candidates[0],
            self.trials,
            reason=f"rate {rate:g}, {first.chosen.epoch:.1f} epochs, scale {scale:g}, {len(trained)} seeds",
            seconds=sum(t.seconds for t in trained),
            trained_tokens=float(first.trained_tokens),
            tokens_per_second=first.tokens / max(first.seconds, 1e-9),
            peak_memory_gb=max(t.peak_memory_bytes for t in trained) / 1e9,
        )

    # --- what is trained on ---

    @cached_property
    def base(self) -> Base:
        """A second copy of the base model: one learns while the other answers."""
        from tuneworthy.training.network import open_base

        model, choice = self._model, self.bench.usecase.model
        return open_base(
            model.folder,
            name=choice.base,
            revision=choice.revision,
            precision="bf16" if self._bf16 and self.method == "lora" else "fp32",
            device=model.device,
        )

    @cached_property
    def encoded(self) -> Encoded:
        from tuneworthy.training.tokens import encode

        longest = self._model.context or max(map(len, map(str, self.bench.train)))
        return encode(self.base.tokenizer, list(self._rows()), longest, stop_ids=self.base.stop_ids)

    @cached_property
    def suggestion(self) -> Suggestion:
        from tuneworthy.training.recipe import recipe_for

        return recipe_for(
            len(self.encoded.rows),
            self.encoded.report.trained_tokens,
            self.base.parameters,
            method=self.method,
            max_length=self._model.context or self.encoded.report.longest,
            precision="bf16" if self._bf16 else "fp32",
            seed=self.bench.usecase.seed,
        )

    @property
    def _model(self) -> Tunable:
        model = self.bench.sources.model
        assert isinstance(model, Tunable)  # `_propose` looked
        return model

    @property
    def _bf16(self) -> bool:
        return self._model.device == "cuda"

    def _rows(self) -> Iterator[TrainingRow]:
        from tuneworthy.training.tokens import TrainingRow

        answerer = Answerer(self.start, self.bench.sources)
        for example in self.bench.train:
            passages = _taught(answerer.passages(example.input), example)
            asked = answerer.messages(example.input, passages, exclude=example.name)
            told = Message(role="assistant", content=render_expected(self.bench.usecase.output, example.expected))
            origin = example.provenance
            yield TrainingRow(
                name=example.name,
                messages=(*asked, told),
                where=f"{origin.source}:{origin.line}" if origin.line else example.name,
            )
        for number, messages in enumerate(self.extra):
            yield TrainingRow(name=f"further-{number}", messages=messages)

    # --- the steps ---

    def screened(self) -> tuple[float | None, str]:
        """The best learning rate, and why there is none. Equal development scores go to the lower training loss."""
        scores: dict[float, tuple[float, float]] = {}
        rates = self.suggestion.learning_rates
        (first,) = self._screen(rates[:1], scores)  # alone: what it takes says whether the others are begun
        hours = self._hours(first, len(rates)) if first.stopped == "share" else 0.0
        if hours > self.bench.usecase.budget.training_hours:
            return None, (
                f"it would take about {hours:.1f} hours here, measured on the first {SCREENED:.0%} of the steps; "
                f"budget.training_hours is {self.bench.usecase.budget.training_hours:g}"
            )
        self._screen(rates[1:], scores)
        if scores and (step := _beyond(rates, max(scores, key=lambda rate: scores[rate]))) is not None:
            self._screen([step], scores)
        if not scores:
            return None, "no learning rate gave a development score"
        return max(scores, key=lambda rate: scores[rate]), ""

    def _screen(self, rates: Sequence[float], scores: dict[float, tuple[float, float]]) -> list[Trained]:
        seed = self.bench.usecase.seed
        settings = [(rate, seed, f"{self.lever}, trying rate {rate:g}") for rate in rates]
        tried = self._train_all(settings, share=SCREENED)
        for rate, done in zip(rates, tried, strict=True):
            # A finished training is returned whole, so the share is read from its history: repeated, it is the same.
            end = math.ceil(SCREENED * done.planned_steps)
            last = next(point for point in reversed(done.history) if point.step <= end)
            self._note(last, rate=rate, seed=seed, share=SCREENED)
            if last.dev is not None and (done.stopped != "diverged" or done.steps > end):
                scores[rate] = (last.dev, -(last.loss or 0.0))
        return tried

    def _note(self, point: Point, **settings: float) -> None:
        loss = None if point.loss is None else round(point.loss, 4)
        score = None if point.dev is None else round(point.dev, 4)
        self.trials.append({**settings, "step": point.step, "loss": loss, "score": score})

    def _hours(self, first: Trained, rates: int) -> float:
        """Hours of all trainings of this lever, from the measured steps and scorings of the first one."""
        whole = first.seconds / SCREENED
        return whole * (SCREENED * rates + 1 - SCREENED + self.bench.usecase.budget.seeds - 1) / 3600

    def _train_all(self, settings: Sequence[tuple[float, int, str]], *, share: float = 1.0) -> list[Trained]:
        """Trainings by (rate, seed, what they are called), side by side where that ends in the same weights."""
        from tuneworthy.training.loop import train_all

        asked = [self._training(rate, seed, label, share) for rate, seed, label in settings]
        if self.method == "full":
            return [done for one in asked for done in train_all(self.untouched_base(), [one])]
        return train_all(self.base, asked)

    def _training(self, rate: float, seed: int, label: str, share: float) -> Training:
        from tuneworthy.training.checkpoints import checkpoint_folder
        from tuneworthy.training.loop import identify
        from tuneworthy.training.run import Training

        recipe = self._recipe(rate, seed)
        out = self.bench.project.adapters / identify(self.base, recipe, self.encoded).digest[:24]

        def evaluate(step: int) -> tuple[float, float] | None:
            folder = checkpoint_folder(out, step)
            return self.bench.dev_score(self.candidate(folder, weights_digest(folder), 1.0), f"{label}, step {step}")

        def told(progress: Progress) -> None:
            self.bench.tell(_told(label, progress), progress.step, progress.steps)

        return Training(recipe, self.encoded, out, evaluate, told, share)

    def last(self, rate: float, seed: int, label: str) -> Candidate:
        """All steps, nothing scored on the way. Beside the lever's own trainings, whose weights are chosen ones."""
        from tuneworthy.training.loop import identify, train

        recipe = self._recipe(rate, seed)
        out = self.bench.project.small_arms / identify(self.base, recipe, self.encoded).digest[:24]
        done = train(
            self.base,
            recipe,
            self.encoded,
            out,
            on_progress=lambda progress: self.bench.tell(_told(label, progress), progress.step, progress.steps),
        )
        return self.candidate(out, done.weights, 1.0)

    def _recipe(self, rate: float, seed: int) -> Recipe:
        return self.suggestion.recipe.model_copy(update={"learning_rate": rate, "seed": seed})

    def untouched_base(self) -> Base:
        """Full fine-tuning changes the base, so each training starts from a fresh one."""
        if self.method == "full":
            del self.base
        return self.base

    def _scale(self, trained: Trained) -> float:
        """The scale of the adapter that keeps most of what the base can do, among those that lose less than half of
        the smallest difference that matters against the best; ties go to the higher scale."""
        store, asked = self.bench.project.answers, self._model
        before = retention.probe(asked, store)
        scales = SCALES if self.method == "lora" else (1.0,)
        found: dict[float, tuple[float, retention.Retention]] = {}
        for scale in scales:
            candidate = self.candidate(Path(trained.folder), trained.weights, scale)
            score = self.bench.dev_score(candidate, f"{self.lever}, scale {scale:g}")
            after = retention.probe(Answerer(candidate, self.bench.sources).model, store)
            kept = retention.compare(before, after, demanded=self.bench.usecase.bar.largest_loss)
            if score is not None:
                found[scale] = (score[0], kept)
                self.trials.append({"scale": scale, "score": round(score[0], 4), "other_abilities": kept.tuned})
        floor = max(mean for mean, _ in found.values()) - self.bench.usecase.bar.smallest_difference / 2
        good = [scale for scale, (mean, _) in found.items() if mean >= floor]
        best = max(good, key=lambda scale: (found[scale][1].interval.value, scale))
        self.bench.retentions[self.lever] = found[best][1]
        return best

    def _look_for_memories(self, candidate: Candidate) -> None:
        """Does the trained model continue the inputs that it was trained on?"""
        store, seed = self.bench.project.answers, self.bench.usecase.seed
        learned, unseen = (
            memorisation.texts_to_begin([query_text(row.input) for row in rows], seed=seed)
            for rows in (self.bench.train, self.bench.dev)
        )
        if len(learned) < memorisation.FEWEST:
            return
        tuned = Answerer(candidate, self.bench.sources).model
        answers = [
            memorisation.probe(*asked, store) for asked in ((self._model, learned), (tuned, learned), (tuned, unseen))
        ]
        found = memorisation.compare(*answers)
        if found is not None:
            self.bench.memorisations[self.lever] = found

    def _weakened(self, trained: Trained, scale: float) -> Candidate:
        """The candidate at this scale, from a folder that any other tool loads with the same effect."""
        from tuneworthy.training.delivery import weaken

        folder = weaken(Path(trained.folder), scale)
        return self.candidate(folder, weights_digest(folder), 1.0)

    def candidate(self, folder: Path, weights: str, scale: float) -> Candidate:
        """What answers with the trained weights in a folder of the project."""
        path = str(folder.relative_to(self.bench.sources.folder))
        ref: dict[str, Any] = (
            {"adapter": AdapterRef(weights=weights, path=path, scale=scale)}
            if self.method == "lora"
            else {"tuned": TunedRef(weights=weights, path=path)}
        )
        return self.start.model_copy(update={"lever": self.lever, **ref})


def _mark(point: Point) -> Mark:
    return Mark(**point.model_dump())


def _beyond(rates: Sequence[float], best: float) -> float | None:
    """One step further when the best rate lies at the edge of what was tried."""
    if best == min(rates):
        return best / 2
    return best * 2 if best == max(rates) else None


def _taught(passages: Sequence[Passage], example: Example) -> list[Passage]:
    """The passages that a row is taught with: as retrieved, or now and then without those that hold the answer."""
    if int(digest([example.name, "gold"])[:8], 16) % WITHOUT_GOLD:
        return list(passages)
    answer = str(example.expected).casefold()
    return [passage for passage in passages if answer not in passage.text.casefold()]


def _told(label: str, progress: Progress) -> str:
    score = f", score {progress.dev.mean:.2f}" if progress.dev else ""
    left = math.ceil(progress.seconds_left)
    return (
        f"{label}: loss {progress.loss:.2f}{score}, {progress.tokens_per_second:,.0f} tokens/s, "
        f"{left // 60}:{left % 60:02d} left"
    )
