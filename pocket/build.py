"""Build the pocket model: `python -m pocket.build --minutes 75 --threads 1`. Run again to resume.

Tokenizer, pretraining with exports on the way, evaluation, model card: a finished run is only measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import GenerationConfig, LlamaForCausalLM

from pocket.card import write_card
from pocket.evaluate import Score, measure_all
from pocket.tokenizer import as_transformers, train_tokenizer
from pocket.train import STAGES, Options, Run, State

PHASES = "training.json"
SHIPPED = Path(__file__).resolve().parent.parent / "src" / "tuneworthy" / "models" / "pocket"


def load_tokenizer(folder: Path, seed: int, start: Path | None = None) -> Tokenizer:
    """The run's tokenizer; trained once, then read from the run folder."""
    path = folder / "tokenizer.json"
    if not path.exists() and start is not None:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(start / "tokenizer.json", path)
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        train_tokenizer(seed).save(str(path.with_suffix(".new")))
        os.replace(path.with_suffix(".new"), path)
    return Tokenizer.from_file(str(path))


def export(model: LlamaForCausalLM, tokenizer: Tokenizer, target: Path = SHIPPED) -> None:
    """Write the loadable folder, file by file through a rename, so that nobody reads half a file."""
    new = target.with_name(f".{target.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    model.generation_config = GenerationConfig(
        bos_token_id=1, eos_token_id=2, pad_token_id=0, do_sample=False, max_new_tokens=128
    )
    model.save_pretrained(new)
    as_transformers(tokenizer).save_pretrained(new)
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(new.iterdir()):
        path.chmod(0o644)  # safetensors writes files that only their owner may read
        os.replace(path, target / path.name)
    shutil.rmtree(new)


def phases(run: Run, start: Path | None) -> list[dict[str, Any]]:
    """What the weights have been trained on, this run last; kept beside them as `training.json`."""
    before = json.loads((start / PHASES).read_text()) if start else []
    state = run.state
    return [*before, {"tokens": state.tokens, "steps": state.step, "minutes": round(state.seconds / 60, 1)}]


def assess(run: Run, n: int) -> list[Score]:
    """Measure every skill; scores are kept beside the checkpoints."""
    scores = measure_all(run.model, as_transformers(run.tokenizer), n)
    facts = {"log": run.state.log, "scores": [asdict(s) for s in scores]}
    (run.o.folder / "results.json").write_text(json.dumps(facts, indent=1))
    return scores


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=75.0, help="pretraining budget")
    parser.add_argument("--steps", type=int, default=0, help="budget in steps in place of minutes; repeatable")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--items", type=int, default=400, help="held-out items for each skill")
    parser.add_argument("--work", type=Path, default=Path("build/pocket"), help="checkpoints")
    parser.add_argument("--continue-from", type=Path, help="start from the weights of this folder, in the last stage")
    parser.add_argument("--out", type=Path, default=SHIPPED)
    return parser.parse_args()


def main() -> None:
    """Train, export, measure, write the card."""
    a = parse()
    o = Options(
        folder=a.work,
        seed=a.seed,
        minutes=a.minutes,
        steps=a.steps,
        threads=a.threads,
        first_stage=len(STAGES) - 1 if a.continue_from else 0,
    )
    tokenizer = load_tokenizer(a.work, a.seed, a.continue_from)

    def interim(model: LlamaForCausalLM, state: State) -> None:
        export(model, tokenizer, a.out)
        print(f"exported after {state.step} steps", flush=True)

    run = Run(o, tokenizer, interim, a.continue_from)
    run.run()
    export(run.model, tokenizer, a.out)
    made = phases(run, a.continue_from)
    (a.out / PHASES).write_text(json.dumps(made) + "\n")
    card = write_card(run.model, o, made, assess(run, a.items))
    (a.out / "README.md").write_text(card)
    print(card, flush=True)


if __name__ == "__main__":
    main()
