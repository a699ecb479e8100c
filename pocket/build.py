"""Build the pocket model: `python -m pocket.build --minutes 75 --threads 1`. Run again to resume."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path

from tokenizers import Tokenizer
from transformers import GenerationConfig, LlamaForCausalLM

from pocket.tokenizer import as_transformers, train_tokenizer
from pocket.train import Options, Run, State

SHIPPED = Path(__file__).resolve().parent.parent / "src" / "tuneworthy" / "models" / "pocket"


def load_tokenizer(folder: Path, seed: int) -> Tokenizer:
    """The run's tokenizer; trained once, then read from the run folder."""
    path = folder / "tokenizer.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        train_tokenizer(seed).save(str(path.with_suffix(".new")))
        os.replace(path.with_suffix(".new"), path)
    return Tokenizer.from_file(str(path))


def export(model: LlamaForCausalLM, tokenizer: Tokenizer, target: Path = SHIPPED) -> None:
    """Write the loadable folder, one file at a time through a rename, so that a reader never sees half a file."""
    new = target.with_name(f".{target.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    model.generation_config = GenerationConfig(
        bos_token_id=1, eos_token_id=2, pad_token_id=0, do_sample=False, max_new_tokens=128)
    model.save_pretrained(new)
    as_transformers(tokenizer).save_pretrained(new)
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(new.iterdir()):
        os.replace(path, target / path.name)
    shutil.rmtree(new)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=75.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--steps", type=int, default=0, help="budget in steps in place of minutes")
    parser.add_argument("--work", type=Path, default=Path("build/pocket"), help="checkpoints")
    parser.add_argument("--out", type=Path, default=SHIPPED)
    a = parser.parse_args()
    o = Options(folder=a.work, seed=a.seed, minutes=a.minutes, steps=a.steps, threads=a.threads)
    tokenizer = load_tokenizer(a.work, a.seed)

    def interim(model: LlamaForCausalLM, state: State) -> None:
        export(model, tokenizer, a.out)
        print(f"exported after {state.step} steps", flush=True)

    run = Run(o, tokenizer, interim)
    run.run()
    export(run.model, tokenizer, a.out)
    (a.work / "log.json").write_text(json.dumps(run.state.log, indent=1))
    print("trained", run.state.step, run.state.tokens, flush=True)


if __name__ == "__main__":
    main()
