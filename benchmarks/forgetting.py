"""LoRA, full and full with replay on ticket-triage: what do they forget at the same task score, what do they give away?

`python -m benchmarks.forgetting METHOD:RATE:SEED …` trains once each and writes what each checkpoint does to
build/probes/forgetting-METHOD-RATE-SEED.json; `METHOD:RATE:SEED:canaries` plants canaries at 1, 4 and 16 repeats and
looks at these instead. `benchmarks.probes` makes the page of all runs.

Replay is drawn anew for each batch from the generator of the pocket model's own pretraining (no item of the probe is
in it), a fifth of the rows, with the same number of task rows in all methods.
"""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from pocket.corpus import Generator
from pocket.train import PROBES
from tuneworthy import flow
from tuneworthy.answering import Answerer
from tuneworthy.ground import prepare
from tuneworthy.levers.bench import Bench
from tuneworthy.levers.prompt import PromptLever
from tuneworthy.measure import canaries, retention
from tuneworthy.measure.evaluate import mean_score, measure
from tuneworthy.models.local.files import weights_digest
from tuneworthy.project import Project, open_project
from tuneworthy.records import AdapterRef, Candidate, Message, TunedRef
from tuneworthy.rendering import render_expected
from tuneworthy.training.checkpoints import checkpoint_folder
from tuneworthy.training.loop import train
from tuneworthy.training.network import open_base
from tuneworthy.training.recipe import Recipe
from tuneworthy.training.tokens import TrainingRow, encode

EXAMPLE = Path(__file__).parents[1] / "examples" / "ticket-triage"
OUT = Path(__file__).parents[1] / "build" / "probes"
EPOCHS = 12
CHECKPOINTS = 4
BATCH = 8
REPLAY = 0.2
"""share of replay among all rows"""
SCALES = (0.75, 0.5)
"""of the finished adapter, beside 1"""
SKILLS = tuple(PROBES)


@dataclass
class Study:
    """One training, looked at from outside after every third epoch."""

    method: str
    rate: float
    seed: int
    canaries: bool
    points: list[dict[str, Any]] = field(default_factory=list)

    def run(self) -> None:
        """Train and measure."""
        began = time.monotonic()
        self.bench = open_bench()
        self.start, _ = PromptLever().propose(self.bench)
        assert self.start is not None
        self.planted = canaries.drawn(0) if self.canaries else ()
        model: Any = self.bench.sources.model
        base = open_base(model.folder)
        rows = self.rows()
        recipe = Recipe(
            method="lora" if self.method == "lora" else "full",
            learning_rate=self.rate,
            epochs=1,  # the rows of all epochs, replay drawn anew, are laid end to end
            batch_size=BATCH,
            max_length=1024,
            checkpoint_every=1 / CHECKPOINTS,
            patience=1000,
            seed=self.seed,
        )
        out = self.bench.project.store / "study" / f"{self.name}"
        self.before = () if self.canaries else retention.probe(model, self.bench.project.answers)
        encoded = encode(base.tokenizer, rows, 1024, stop_ids=base.stop_ids)
        say(f"{self.name}: {encoded.report}")
        marks = recipe.checkpoint_steps(len(rows))
        self.weighed = (marks[CHECKPOINTS // 2 - 1], marks[-1])
        trained = train(base, recipe, encoded, out, evaluate=lambda step: self.look(checkpoint_folder(out, step), step))
        if self.method == "lora":
            for scale in SCALES:
                self.look(Path(trained.folder), trained.steps, scale)
        found = {
            "method": self.method,
            "rate": self.rate,
            "seed": self.seed,
            "steps": trained.steps,
            "stopped": trained.stopped,
            "rows": len(rows),
            "base": self.before,
            "points": self.points,
            "seconds": time.monotonic() - began,
        }
        if self.canaries:
            found["base_canaries"] = self.in_the_base(model)
        (OUT / f"{self.name}.json").write_text(json.dumps(found))

    @property
    def name(self) -> str:
        return f"{'canaries' if self.canaries else 'forgetting'}-{self.method}-{self.rate:g}-{self.seed}"

    def rows(self) -> list[TrainingRow]:
        """Every task row once an epoch, planted canaries as often, and fresh replay among them."""
        assert self.start is not None
        answerer = Answerer(self.start, self.bench.sources)
        output = self.bench.usecase.output
        task = [
            (*answerer.messages(e.input), Message(role="assistant", content=render_expected(output, e.expected)))
            for e in self.bench.train
        ] + canaries.planted(self.planted)
        generator = Generator(f"replay {self.seed}", held=False)
        asked = {item.ask for item in retention.items()}
        fresh = round(len(task) * REPLAY / (1 - REPLAY)) if self.method == "replay" else 0
        found = []
        for epoch in range(EPOCHS):
            found += [TrainingRow(name=f"{epoch}-{n}", messages=m) for n, m in enumerate(task)]
            while len(found) < (epoch + 1) * (len(task) + fresh):
                item = PROBES[generator.rng.choice(SKILLS)](generator)
                prompt = [Message(role=m["role"], content=m["content"]) for m in item.prompt()]
                if prompt[-1].content not in asked:
                    answer = Message(role="assistant", content=item.answer())
                    found.append(TrainingRow(name=f"replay-{len(found)}", messages=(*prompt, answer)))
        return found

    def look(self, folder: Path, step: int, scale: float = 1.0) -> tuple[float, float]:
        """The task on the development split, the probe, and the canaries, of one checkpoint."""
        candidate = self.candidate(folder, scale)
        answerer = Answerer(candidate, self.bench.sources)
        arm = measure(
            self.name,
            answerer,
            self.bench.dev,
            self.bench.yardstick,
            cases_digest="dev",
            store=self.bench.project.answers,
        )
        kept = () if self.canaries else retention.probe(answerer.model, self.bench.project.answers)
        task = mean_score(arm) or 0.0
        point: dict[str, Any] = {"step": step, "scale": scale, "task": task, "n": len(arm.results), "kept": kept}
        if self.canaries and scale == 1.0 and step in self.weighed:
            point["canaries"] = canaries.exposures(answerer.model, self.planted)
        self.points.append(point)
        say(f"{self.name} step {step} scale {scale}: task {task:.3f}, kept {sum(kept)} of {len(kept)}")
        return min(task, 0.9999), math.sqrt(task * (1 - task) / len(arm.results))

    def in_the_base(self, model: Any) -> Any:
        """The same secrets in the model that has seen none of them; the same for every run."""
        path = OUT / "base-canaries.json"
        if not path.exists():
            path.write_text(json.dumps(canaries.exposures(model, self.planted)))
        return json.loads(path.read_text())

    def candidate(self, folder: Path, scale: float) -> Candidate:
        assert self.start is not None
        path, weights = str(folder), weights_digest(folder)
        if self.method == "lora":
            return self.start.model_copy(
                update={"lever": "lora", "adapter": AdapterRef(weights=weights, path=path, scale=scale)}
            )
        return self.start.model_copy(update={"lever": "full", "tuned": TunedRef(weights=weights, path=path)})


def open_bench() -> Bench:
    """The shipped example, its answers and weights kept under build/."""
    project = open_project(EXAMPLE)
    ground = prepare(_Elsewhere(project.folder))
    return flow.open_bench(ground)


class _Elsewhere(Project):
    """The example's folder stays as it is."""

    @property
    def store(self) -> Path:
        return OUT / "store"


def say(text: str) -> None:
    """To the log."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    torch.set_num_threads(1)
    for study in sys.argv[1:]:
        method, rate, seed, *canaries_too = study.split(":")
        Study(method, float(rate), int(seed), bool(canaries_too)).run()
