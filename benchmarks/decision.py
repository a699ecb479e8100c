"""The whole decision of examples/ticket-triage: `tuneworthy run` against TRL and `generate`, chained by a script.

    .venv-peers/bin/python -m benchmarks.decision [--quick]

The chain repeats what the run's decision needs: the same trainings (rows, rates, seeds, batches, steps) with TRL;
with `generate`, in batches by length, the prompts on which variants were screened, checkpoints scored and levers
adopted, and the locked cases of every arm (`COUNTED`); then it decides by the same bar. The run does more beside it
(probes, diagnosis, weaker scales of an adapter, statistics, the report), which the chain leaves out; the run's time is
counted in full. Each side is a process of its own, so that imports count. Schema-enforced decoding has no counterpart
in `generate`: there the chain writes freely.

About 12 minutes on 2 idle cores: one run of each side.
"""

from __future__ import annotations

import argparse
import functools
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.race import about, peak_mb
from benchmarks.results import write_part

EXAMPLE = Path(__file__).parents[1] / "examples" / "ticket-triage"
BATCH = 32
QUICK_STEPS = 3


COUNTED = ("development", "locked cases")
"""what the chain answers as well; all other asking is the run's alone"""
BESIDE = "beside the decision"


# --- ours ---


class Nobody:
    """Listens to the run and tells no one."""

    def step(self, what: str, done: int, total: int) -> None: ...
    def lever(self, name: str, state: str, text: str) -> None: ...
    def arm(self, report: Any, comparison: Any) -> None: ...


class Stages:
    """To which part of the run a call of the model belongs: the outermost marked function that is being run."""

    def __init__(self) -> None:
        self.inside: list[str] = []

    @property
    def now(self) -> str:
        return self.inside[0] if self.inside else BESIDE

    def mark(self, owner: type, name: str, stage: str) -> None:
        """From here on, what this method asks belongs to this stage."""
        plain = getattr(owner, name)

        @functools.wraps(plain)
        def marked(*given: Any, **more: Any) -> Any:
            self.inside.append(stage)
            try:
                return plain(*given, **more)
            finally:
                self.inside.pop()

        setattr(owner, name, marked)

    def mark_run(self) -> None:
        """Mark what a run consists of. Probes, the diagnosis and scales also score development cases: not counted."""
        from tuneworthy.ladder import Ladder
        from tuneworthy.levers.bench import Bench
        from tuneworthy.levers.tuned import Tuning

        for name in ("screen", "dev_score", "adopt"):
            self.mark(Bench, name, "development")
        self.mark(Ladder, "_measure", "locked cases")
        self.mark(Ladder, "probe", "probes")
        self.mark(Ladder, "diagnose", "diagnosis")
        self.mark(Tuning, "_scale", "scales and other abilities")
        self.mark(Tuning, "_look_for_memories", "memorisation")


def run_ours(folder: Path, log: Path) -> None:
    """`tuneworthy run`, and what it asked and trained on, as a log for the chain."""
    from tuneworthy import flow
    from tuneworthy.models.local.model import LocalModel
    from tuneworthy.training import tokens

    stages, seconds = Stages(), defaultdict(float)
    stages.mark_run()
    with log.open("w", encoding="utf-8") as out:
        complete, encode = LocalModel.complete, tokens.encode

        def logged(self: Any, requests: Any, on_done: Any = None) -> Any:
            started = time.perf_counter()
            found = complete(self, requests, on_done)
            at = stages.now
            seconds[f"asking: {at}"] += time.perf_counter() - started
            if at in COUNTED:
                adapter = "" if self._adapter is None else _training_of(self._adapter.path)
                prompts = [self.rendered(request.messages) for request in requests]
                out.write(json.dumps({"stage": at, "adapter": adapter, "prompts": prompts}) + "\n")
            return found

        def encoded(*given: Any, **more: Any) -> Any:
            found = encode(*given, **more)
            rows = [[list(row.ids), list(map(bool, row.carries_loss))] for row in found.rows]
            out.write(json.dumps({"rows": rows}) + "\n")  # the first is what the lever trains on; probes follow
            return found

        LocalModel.complete, tokens.encode = logged, encoded  # type: ignore[method-assign]
        record = flow.run(folder, Nobody())
    told = {
        "decision": record.verdict.decision,
        "seconds": dict(seconds),
        "peak_mb": peak_mb(),
    }
    sys.stdout.write(json.dumps(told) + "\n")


def _training_of(adapter: Path) -> str:
    """The name of the training's folder: of its weights, of a checkpoint, or of a weakened copy."""
    names = adapter.parts
    return names[names.index("adapters") + 1].partition("-")[0]


# --- the chain ---


def run_chain(folder: Path, log: Path, quick: bool) -> None:
    """TRL for every training of the run, `generate` for every prompt of its arms, the bar for the decision."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from tuneworthy.models.local import resolve
    from tuneworthy.project import open_project

    usecase = open_project(folder).usecase
    place = resolve(usecase.model, folder)
    tokenizer = AutoTokenizer.from_pretrained(place, padding_side="left")
    events = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    rows = next((event["rows"] for event in events if "rows" in event), [])
    tuned: dict[str, Any] = {"": AutoModelForCausalLM.from_pretrained(place).eval()}
    seconds: dict[str, float] = defaultdict(float)
    locked = []
    for event in (event for event in events if "prompts" in event):
        started = time.perf_counter()
        if event["adapter"] not in tuned:
            recipe = json.loads((folder / ".tuneworthy/adapters" / event["adapter"] / "training.json").read_text())
            tuned[event["adapter"]] = train(place, tokenizer, rows, recipe, quick)
            seconds["training"] += time.perf_counter() - started
            started = time.perf_counter()
        with torch.inference_mode():
            answers = generate(tuned[event["adapter"]], tokenizer, event["prompts"], usecase.output.max_tokens)
        seconds[f"asking: {event['stage']}"] += time.perf_counter() - started
        if event["stage"] == "locked cases":
            locked.append({"tuned": bool(event["adapter"]), **event, "answers": answers})
    sys.stdout.write(json.dumps({"locked": locked, "seconds": seconds, "peak_mb": peak_mb()}) + "\n")


def train(place: Path, tokenizer: Any, rows: list[Any], done: dict[str, Any], quick: bool) -> Any:
    """One training with TRL, tuned: no gradient checkpointing, rows grouped by length, nothing logged or saved."""
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    recipe = done["identity"]["recipe"]
    steps = min(QUICK_STEPS, done["steps"]) if quick else done["steps"]

    class Stop(TrainerCallback):  # type: ignore[misc]  # transformers has no types
        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> Any:
            control.should_training_stop = state.global_step >= steps
            return control

    config = LoraConfig(
        task_type="CAUSAL_LM", r=recipe["r"], lora_alpha=recipe["alpha"], lora_dropout=0.0, target_modules="all-linear"
    )
    network = get_peft_model(AutoModelForCausalLM.from_pretrained(place), config)
    labelled = [
        {"input_ids": ids, "labels": [i if flag else -100 for i, flag in zip(ids, flags, strict=True)]}
        for ids, flags in rows
    ]
    with tempfile.TemporaryDirectory() as there:
        settings = SFTConfig(
            output_dir=there,
            per_device_train_batch_size=recipe["batch_size"],
            max_steps=done["planned_steps"],
            learning_rate=recipe["learning_rate"],
            lr_scheduler_type=recipe["schedule"],
            warmup_steps=round(recipe["warmup"] * done["planned_steps"]),
            weight_decay=recipe["weight_decay"],
            max_grad_norm=recipe["max_grad_norm"],
            seed=recipe["seed"],
            bf16=False,
            fp16=False,
            use_cpu=True,
            gradient_checkpointing=False,
            train_sampling_strategy="group_by_length",
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
            remove_unused_columns=False,
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            save_strategy="no",
            dataloader_pin_memory=False,
        )
        trainer = SFTTrainer(
            model=network,
            args=settings,
            train_dataset=Dataset.from_list(labelled),
            processing_class=tokenizer,
            callbacks=[Stop()],
        )
        trainer.train()
    return network.merge_and_unload().eval()


def generate(network: Any, tokenizer: Any, prompts: list[str], max_tokens: int) -> list[str]:
    """Greedy, in batches of similar length."""
    answers: dict[int, str] = {}
    order = sorted(range(len(prompts)), key=lambda n: -len(prompts[n]))
    for at in range(0, len(order), BATCH):
        part = order[at : at + BATCH]
        ids = tokenizer([prompts[n] for n in part], add_special_tokens=False, padding=True, return_tensors="pt")
        out = network.generate(
            input_ids=ids["input_ids"],
            attention_mask=ids["attention_mask"],
            do_sample=False,
            max_new_tokens=max_tokens,
            pad_token_id=tokenizer.pad_token_id,
        )
        told = tokenizer.batch_decode(out[:, ids["input_ids"].shape[1] :], skip_special_tokens=True)
        answers |= dict(zip(part, told, strict=True))
    return [answers[n] for n in range(len(prompts))]


def decide(folder: Path, locked: list[dict[str, Any]]) -> tuple[str, dict[str, list[float]], int]:
    """The chain's decision by the same bar and scorer: does tuning reach it while nothing cheaper does? With the means
    of the arms, and how many answers could not be scored: those are in no mean."""
    from tuneworthy.ground import prepare
    from tuneworthy.project import open_project

    ground = prepare(open_project(folder))
    scores: dict[str, list[float]] = {"base": [], "tuned": []}
    unscored = 0
    for event in locked:
        values = []
        for prompt, answer in zip(event["prompts"], event["answers"], strict=True):
            asked = [case for case in ground.cases if str(case.input["email"]) in prompt]
            case = max(asked, key=lambda one: prompt.rfind(str(one.input["email"])))
            value = ground.yardstick.primary.score(case, answer).value
            if value is None:
                unscored += 1
            else:
                values.append(value)
        if values:
            scores["tuned" if event["tuned"] else "base"].append(statistics.fmean(values))
    bar = ground.usecase.bar.at_least
    cheaper = any(score >= bar for score in scores["base"])
    reached = bool(scores["tuned"]) and scores["tuned"][0] >= bar
    if not scores["tuned"] and not cheaper:
        return "undecided", scores, unscored  # the run's gates let nothing be trained
    return ("tune" if reached and not cheaper else "do_not_tune"), scores, unscored


# --- the race ---


def timed(*arguments: str) -> tuple[float, dict[str, Any]]:
    """Seconds of a fresh process, and what it printed last."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.decision", *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    return time.perf_counter() - started, json.loads(done.stdout.strip().splitlines()[-1])


def help_seconds(*command: str) -> float:
    """Median of three calls of `--help`; not a number where the tool is not installed."""
    tool = Path(sys.executable).parent / command[0]
    if not tool.exists():
        return float("nan")
    times = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run([tool, *command[1:], "--help"], capture_output=True, check=False)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    """Measure and write the part `decision` of RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="few rows, which the gates let nobody train on. Nothing is written"
    )
    parser.add_argument("--side", choices=["ours", "chain"])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--log", type=Path)
    asked = parser.parse_args()
    if asked.side == "ours":
        run_ours(asked.folder, asked.log)
    elif asked.side == "chain":
        run_chain(asked.folder, asked.log, asked.quick)
    else:
        compare(asked.quick)


def compare(short: bool) -> None:
    """Both sides, and what they decided."""
    quick = ["--quick"] if short else []
    with tempfile.TemporaryDirectory() as there:
        folder, log = Path(there) / "ticket-triage", Path(there) / "log.jsonl"
        shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".tuneworthy", "suite.lock", "openings.jsonl"))
        if short:
            _shorten(folder)
        from tuneworthy import flow

        flow.lock_suite(folder, again=False)
        at = ["--folder", str(folder), "--log", str(log)]
        ours_s, ours = timed("--side", "ours", *at, *quick)
        chain_s, chain = timed("--side", "chain", *at, *quick)
        decision, scores, unscored = decide(folder, chain["locked"])
    same = "the same decision" if decision == ours["decision"] else "NOT THE SAME DECISION"
    ratio = f"**{chain_s / ours_s:.2f}**" if decision == ours["decision"] else "not equivalent"
    if unscored:
        ratio = f"not equivalent: {unscored} unscored"
    tools = {" ".join(c): help_seconds(*c) for c in (("tuneworthy",), ("trl",), ("lm_eval",))}
    parts = sorted({*ours["seconds"], *chain["seconds"]})
    beside = sum(took for name, took in ours["seconds"].items() if name.removeprefix("asking: ") not in COUNTED)
    lines = [
        about("tuneworthy", "torch", "transformers", "peft", "trl", "lm_eval"),
        "",
        "| | `tuneworthy run` | TRL and generate, chained | ratio |",
        "| --- | --- | --- | --- |",
        f"| seconds, imports included, one run each | {ours_s:.0f} | {chain_s:.0f} | {ratio} |",
        f"| decision | {ours['decision']} | {decision} ({same}) | |",
        f"| peak memory, MB | {ours['peak_mb']:.0f} | {chain['peak_mb']:.0f} | |",
        *(
            f"| of the time, {name} | {ours['seconds'].get(name, 0):.0f} | {chain['seconds'].get(name, 0):.0f} | |"
            for name in parts
        ),
        "",
        f"The run's time holds {beside:.0f} s of asking beside the decision (probes, diagnosis, scales), which the "
        f"chain leaves out. Locked cases right, chain: base {_shares(scores['base'])}; tuned "
        f"{_shares(scores['tuned'])}. Both sides try the rates on 30 % of the steps and stop at the same steps: less "
        "work on both sides, so no part of the ratio. "
        "Against a chain that trains every rate with every seed to the end: not measured.",
        "",
        "| `--help` | seconds, median of 3 |",
        "| --- | --- |",
        *(f"| {name} | {'not installed' if took != took else f'{took:.2f}'} |" for name, took in tools.items()),
    ]
    told = "\n".join(lines)
    sys.stdout.write(told + "\n")
    if not short:
        write_part("decision", f"## The whole decision of ticket-triage\n\n{told}\n")


def _shares(values: list[float]) -> str:
    return ", ".join(f"{value:.1%}" for value in values) or "none"


def _shorten(folder: Path) -> None:
    """A use case of the same kind that is decided in a minute."""
    for name, rows in (("data/examples.jsonl", 60), ("suite/cases.jsonl", 32)):
        path = folder / name
        path.write_text("".join(line + "\n" for line in path.read_text("utf-8").splitlines()[:rows]), "utf-8")


if __name__ == "__main__":
    main()
