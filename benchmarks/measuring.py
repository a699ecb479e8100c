"""Measuring arms: labels scored against lm-eval, answers written against transformers' generate. Same weights, same
token ids, float32; a ratio counts only where the results are the same in the same run (evidence: T4, T6).

    .venv-peers/bin/python -m benchmarks.measuring [--quick] [--gpu]

About 6 minutes on 2 idle cores.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.race import HEAD, Outcome, about, peak_mb, peak_of, quickest, race
from benchmarks.results import write_part
from tuneworthy.models.local import decoding, labels
from tuneworthy.models.local.prefixes import Ids, read_shared, trial
from tuneworthy.records import Completion, Decoding, Request

C6M = {"vocab_size": 8000, "hidden_size": 256, "intermediate_size": 688, "layers": 8, "heads": 8}
HALF_B = {"vocab_size": 151_936, "hidden_size": 896, "intermediate_size": 4864, "layers": 24, "heads": 14}
TINY = {"vocab_size": 500, "hidden_size": 64, "intermediate_size": 96, "layers": 2, "heads": 4}
PREFIX, OWN, ANSWER = 256, 64, 32
STOPS = 1 / 25
"""share of the vocabulary that ends an answer: random weights would never end one, and answers of real tasks do"""


class Numbers:
    """Texts are token numbers: the race is about the network."""

    eos_token_id = pad_token_id = 0

    def decode(self, ids: Ids, **_: Any) -> str:
        return " ".join(map(str, ids))


class Work:
    """A random network and prompts that share their beginning."""

    def __init__(self, shape: dict[str, int], cases: int, *, prefix: int = PREFIX, device: str = "cpu") -> None:
        from transformers import AutoModelForCausalLM, LlamaConfig

        self.vocabulary = shape["vocab_size"]
        config = LlamaConfig(
            vocab_size=self.vocabulary,
            hidden_size=shape["hidden_size"],
            intermediate_size=shape["intermediate_size"],
            num_hidden_layers=shape["layers"],
            num_attention_heads=shape["heads"],
            max_position_embeddings=1024,
            initializer_range=0.06,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=None,
        )
        torch.manual_seed(0)
        self.network: Any = AutoModelForCausalLM.from_config(config).to(device).eval()
        self.network.generation_config.eos_token_id = None
        self.draw = random.Random(1)
        shared = self.some(prefix)
        self.prompts = [shared + self.some(self.draw.randint(OWN - 16, OWN + 16)) for _ in range(cases)]
        self.stops = frozenset(range(0, self.vocabulary, round(1 / STOPS)))
        with torch.inference_mode():
            self.token_bytes, problem = trial(self.network)
        if problem:
            raise RuntimeError(problem)

    def some(self, n: int) -> list[int]:
        return [self.draw.randrange(1, self.vocabulary) for _ in range(n)]

    # --- labels ---

    def score(self, endings: list[list[int]]) -> np.ndarray:
        """Ours: log-probability of each label after each prompt, shape (prompts, labels)."""
        found = np.full((len(self.prompts), len(endings)), np.nan)
        with torch.inference_mode():
            rows = read_shared(self.network, self.prompts, token_bytes=self.token_bytes)
            for places, scores in labels.scored(self.network, rows, endings, token_bytes=self.token_bytes):
                found[places] = scores
        return found

    def lm_eval(self, batch_size: int) -> Any:
        """lm-eval's own class for such models, with its cache of logits."""
        from lm_eval.models.huggingface import HFLM

        tokenizer = _tokenizer(self.vocabulary)
        return HFLM(
            pretrained=self.network,
            tokenizer=tokenizer,
            batch_size=batch_size,
            logits_cache=True,
            max_length=1024,
        )

    def score_lm_eval(self, model: Any, endings: list[list[int]]) -> np.ndarray:
        """lm-eval: the same, each label as a continuation; a request is named by its texts for the cache."""
        asked = [
            ((f"case {number}", f"label {n}"), list(prompt), list(ending))
            for number, prompt in enumerate(self.prompts)
            for n, ending in enumerate(endings)
        ]
        found = model._loglikelihood_tokens(asked, disable_tqdm=True)
        return np.array([logprob for logprob, _ in found]).reshape(len(self.prompts), len(endings))

    # --- answers ---

    def write(self) -> list[str]:
        """Ours: greedy answers."""
        done: dict[int, Completion] = {}
        asked = decoding.Asked(self.network, Numbers(), self.stops, None, self.token_bytes)  # type: ignore[arg-type]
        requests = [Request(messages=(), decoding=Decoding(max_tokens=ANSWER)) for _ in self.prompts]
        with torch.inference_mode():
            decoding.complete(asked, self.prompts, requests, lambda index, answer: done.update({index: answer}))
        return [done[number].text for number in range(len(self.prompts))]

    def write_transformers(self, batch: int) -> list[str]:
        """`generate` in batches of similar length, padded on the left."""
        answers: dict[int, str] = {}
        order = sorted(range(len(self.prompts)), key=lambda n: -len(self.prompts[n]))
        for at in range(0, len(order), batch):
            part = order[at : at + batch]
            width = max(len(self.prompts[n]) for n in part)
            ids = [[0] * (width - len(self.prompts[n])) + self.prompts[n] for n in part]
            mask = [[0] * (width - len(self.prompts[n])) + [1] * len(self.prompts[n]) for n in part]
            out = self.network.generate(
                input_ids=torch.tensor(ids, device=self.network.device),
                attention_mask=torch.tensor(mask, device=self.network.device),
                do_sample=False,
                max_new_tokens=ANSWER,
                eos_token_id=sorted(self.stops),
                pad_token_id=0,
            )
            for n, row in zip(part, out[:, width:].tolist(), strict=True):
                end = next((place for place, token in enumerate(row) if token in self.stops), len(row))
                answers[n] = Numbers().decode(row[:end])
        return [answers[n] for n in range(len(self.prompts))]

    def write_continuous(self) -> list[str]:
        """`generate_batch`, transformers' continuous batching."""
        from transformers import ContinuousBatchingConfig, GenerationConfig

        pages = len(self.prompts) * 2 + 8  # of 256 tokens: by default it takes most of the machine's memory first
        room = ContinuousBatchingConfig(num_blocks=pages, max_batch_tokens=4096)
        wanted = GenerationConfig(
            do_sample=False, max_new_tokens=ANSWER, eos_token_id=sorted(self.stops), pad_token_id=0
        )
        out = self.network.generate_batch(
            inputs=self.prompts,
            generation_config=wanted,
            continuous_batching_config=room,
            progress_bar=False,
            warmup=False,
        )
        rows = [out[key].generated_tokens for key in sorted(out, key=lambda key: int(key.rsplit("_", 1)[-1]))]
        return [Numbers().decode([token for token in row if token not in self.stops]) for row in rows]


def same_scores(ours: np.ndarray, peer: np.ndarray) -> str:
    """T4: log-probabilities within 1e-4, the same best label in every case."""
    apart = float(np.abs(ours - peer).max())
    other = int((ours.argmax(1) != peer.argmax(1)).sum())
    return "" if apart <= 1e-4 and not other else f"log-probabilities differ by {apart:.1e}, {other} labels"


def same_answers(ours: list[str], peer: list[str]) -> str:
    """T6: the same tokens."""
    other = sum(a != b for a, b in zip(ours, peer, strict=True))
    return f"{other} of {len(ours)} answers differ" if other else ""


LABELS = {
    "W4a: 5 one-token labels": lambda work: [work.some(1) for _ in range(5)],
    "W4b: 10 four-token labels": lambda work: [work.some(4) for _ in range(10)],
}


def one(kind: str, shape: dict[str, int], cases: int, device: str, prefix: int = PREFIX) -> tuple[Work, Any, Any]:
    """(work, ours, lm-eval's side given its model) of a label race."""
    work = Work(shape, cases, prefix=prefix, device=device)
    endings = LABELS[kind](work)
    return work, lambda: work.score(endings), lambda model: work.score_lm_eval(model, endings)


def label_race(kind: str, shape: dict[str, int], cases: int, rounds: int, device: str, prefix: int = PREFIX) -> Outcome:
    small, _, theirs = one(kind, shape, max(4, cases // 4), device, prefix)
    best = quickest([8, 32, 64], lambda size: theirs(small.lm_eval(size)))
    work, ours, theirs = one(kind, shape, cases, device, prefix)
    model = work.lm_eval(best)
    name = f"{kind}, {cases} cases, {prefix} shared tokens"
    note = f"batches of {best}, logits cache on"
    return race(name, "lm-eval", ours, lambda: theirs(model), same_scores, rounds=rounds, note=note)


def answer_races(shape: dict[str, int], cases: int, rounds: int, device: str, prefix: int = PREFIX) -> list[Outcome]:
    small = Work(shape, max(16, cases // 2), prefix=prefix, device=device)
    best = quickest([16, 32, 64], small.write_transformers)
    work = Work(shape, cases, prefix=prefix, device=device)
    name = f"W5: greedy, up to {ANSWER} tokens, {cases} cases, {prefix} shared tokens"
    note = f"batches of {best} by length"
    found = [
        race(
            name, "generate", work.write, lambda: work.write_transformers(best), same_answers, rounds=rounds, note=note
        )
    ]
    if prefix:
        try:
            small.write_continuous()
            continuous = "generate_batch"
            found.append(
                race(name, continuous, work.write, work.write_continuous, same_answers, rounds=1, note="one round")
            )
        except Exception as error:  # it is meant for other machines, and says so in many ways
            why = f"{type(error).__name__}: {error}".splitlines()[0][:160]
            found.append(Outcome(name, "generate_batch", note=why))
    return found


def _tokenizer(vocabulary: int) -> Any:
    """A tokenizer for lm-eval to hold; requests are given as token ids."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    tokens = Tokenizer(models.WordLevel({str(n): n for n in range(vocabulary)}, unk_token="0"))
    return PreTrainedTokenizerFast(tokenizer_object=tokens, eos_token="0", pad_token="0", unk_token="0")


SIDES: dict[str, Callable[[int], Any]] = {
    "W4a ours": lambda n: one("W4a: 5 one-token labels", C6M, n, "cpu")[1](),
    "W4a peer": lambda n: _peer("W4a: 5 one-token labels", n),
    "W4b ours": lambda n: one("W4b: 10 four-token labels", C6M, n, "cpu")[1](),
    "W4b peer": lambda n: _peer("W4b: 10 four-token labels", n),
    "W5: ours": lambda n: Work(C6M, n).write(),
    "W5: peer": lambda n: Work(C6M, n).write_transformers(32),
}


def _peer(kind: str, cases: int) -> Any:
    work, _, theirs = one(kind, C6M, cases, "cpu")
    return theirs(work.lm_eval(32))


def main() -> None:
    """Measure and write the part `measuring` of RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run? Nothing is written")
    parser.add_argument("--gpu", action="store_true", help="0.5B shape on CUDA; writes its own part")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--alone", choices=list(SIDES), help="run one side once and print its peak memory in MB")
    asked = parser.parse_args()
    logging.disable(logging.WARNING)  # lm-eval says at each opening that the model was given to it
    if asked.threads:
        torch.set_num_threads(asked.threads)
    if asked.alone:
        SIDES[asked.alone](48)
        sys.stdout.write(f"{peak_mb():.0f}\n")
        return
    shape, device = (HALF_B, "cuda") if asked.gpu else (C6M, "cpu")
    shape = TINY if asked.quick else shape
    rounds = 2 if asked.quick else 5
    sizes = (8, 4, 8) if asked.quick else (160, 32, 64)
    outcomes = [
        label_race("W4a: 5 one-token labels", shape, sizes[0], rounds, device),
        label_race("W4a: 5 one-token labels", shape, sizes[0], min(3, rounds), device, prefix=0),
        label_race("W4b: 10 four-token labels", shape, sizes[1], rounds, device),
        *answer_races(shape, sizes[2], rounds, device),
        *answer_races(shape, sizes[2], min(3, rounds), device, prefix=0),
    ]
    if not asked.gpu and not asked.quick:
        for outcome in outcomes:
            if outcome.ours_s and f"{PREFIX} shared" in outcome.name and outcome.peer != "generate_batch":
                ours, peer = (
                    peak_of("benchmarks.measuring", "--alone", f"{outcome.name[:3]} {side}")
                    for side in ("ours", "peer")
                )
                outcome.rss_mb = (ours, peer)
    table = "\n".join([HEAD, *(outcome.row() for outcome in outcomes)])
    told = (
        f"{about('tuneworthy', 'torch', 'transformers', 'lm_eval')} {torch.get_num_threads()} threads, float32, random "
        f"weights, {sum(p.numel() for p in Work(shape, 1, device=device).network.parameters()) / 1e6:.1f}M parameters."
    )
    raw = "\n".join(f"- {outcome.raw()}" for outcome in outcomes if outcome.ours_s)
    sys.stdout.write(f"{told}\n\n{table}\n\n{raw}\n")
    if not asked.quick:
        place = "measuring on a GPU" if asked.gpu else "measuring"
        write_part(place, f"## Measuring: labels and answers\n\n{told}\n\n{table}\n\nAll times (s):\n\n{raw}\n")


if __name__ == "__main__":
    main()
