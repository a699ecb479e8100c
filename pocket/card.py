"""The model card: numbers come from the run and its evaluation, never typed in by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pocket.evaluate import WHAT, Score

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

    from pocket.train import Options

HEAD = """---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
---
# Pocket: a tiny chat model for offline use

A language model with {params:,} parameters, so small that it answers and can be fine-tuned on one processor
core. It ships with Tuneworthy, so that every comparison (prompt, few-shot, retrieval, LoRA) can be run and
tested without a network. It is a measuring aid, not an assistant: it reads, copies and follows examples in
short English texts, and knows next to nothing.

## How it was made

From nothing but a generator of synthetic text and a seed; no foreign text or weights.
{story}

| | |
|---|---|
| Architecture | Llama: {layers} layers, width {hidden}, {heads} heads, feed-forward {ffn}, tied embeddings |
| Positions | RoPE, 1,024 |
| Tokenizer | byte-level BPE, {vocab:,} entries, digits one by one |
| Seed | {seed} |
| Training | {tokens:,} tokens, {steps:,} steps, {time:.0f} minutes in all, {threads} thread{s}, {precision} |
| Optimiser | {optimizer} |
| Format | `<|bos|>`, then `<|role|>` + line break + text + `<|end|>` + line break for each message |

## Skills

Greedy generation on fresh items. Names are held-out words, invented strings, codes or numbers; instructions
and sentence patterns are held-out wordings. Neither the words nor the wordings occur in pretraining{except_for}.
Some training wordings were written after reading wrong answers to held-out items; they differ from the held-out
wordings, but held-out here means "not trained on", not "never looked at".

- *Right*: the answer holds the wanted value and none of the other candidates; for repetition and few-shot the
  whole answer equals the expected one.
- *To the letter*: the whole answer equals the expected one, its sentence pattern included.
- *Random copy*: the rate that copying one of the candidate values at random would reach.

| Skill | n | Right | 95 % (Wilson) | Random copy | To the letter | Floor |
|---|---|---|---|---|---|---|
"""

TAIL = """
{verdict}

## Limits

- Prompts beyond about 500 tokens, other languages, arithmetic, knowledge of the world: not trained.
- Unless the prompt or its examples ask for something else, it answers in one plain sentence. JSON with a
  given schema and house labels are left for examples or LoRA to teach.
- Long invented names and long digit strings are where copying slips first.
- Synonyms: only those of a small table seen in pretraining (`pocket/words.py`).
- A run measured in minutes sees more or fewer tokens on another machine, so its weights differ.
  A run measured in steps (`--steps`) is repeatable bit for bit on one machine.

Apache-2.0.
"""


def row(score: Score) -> str:
    low, high = score.interval
    copy = "-" if score.skill == "repeat" else f"{score.random_copy:.1%}"
    return (
        f"| {WHAT[score.skill]} | {score.n} | {score.right / score.n:.1%} | {low:.1%} to {high:.1%} | {copy} "
        f"| {score.exact / score.n:.1%} | {score.floor} |"
    )


def verdict(scores: list[Score]) -> str:
    """Says plainly which floors are missed."""
    missed = [WHAT[s.skill] for s in scores if "missed" in s.floor]
    return f"Floors missed: {'; '.join(missed)}." if missed else "All floors that were set beforehand are met."


def story(o: Options, made: list[dict[str, Any]]) -> str:
    """How many runs it took and what each of them saw."""
    command = f"python -m pocket.build --minutes {o.minutes:g} --threads {o.threads}"
    if len(made) == 1:
        return f"One command:\n\n    {command}"
    runs = "\n".join(
        f"{i}. {x['tokens']:,} tokens in {x['steps']:,} steps and {x['minutes']:.0f} minutes"
        + (", from the weights before, optimiser reset" if i > 1 else ", from random weights")
        for i, x in enumerate(made, 1)
    )
    return (
        f"Trained in {len(made)} runs; `pocket/README.md` in the repository tells what changed between them:\n\n"
        f"{runs}\n\n"
        f"The last was\n\n    {command} --continue-from FOLDER_OF_THE_RUN_BEFORE"
    )


def write_card(model: LlamaForCausalLM, o: Options, made: list[dict[str, Any]], scores: list[Score]) -> str:
    """The card as Markdown; `made` lists the runs that trained the weights."""
    c = model.config
    head = HEAD.format(
        params=sum(p.numel() for p in model.parameters()),
        story=story(o, made),
        except_for="".join(f", except for {x['exception']}" for x in made if x.get("exception")),
        threads=o.threads,
        layers=c.num_hidden_layers,
        hidden=c.hidden_size,
        heads=c.num_attention_heads,
        ffn=c.intermediate_size,
        vocab=c.vocab_size,
        seed=o.seed,
        tokens=sum(x["tokens"] for x in made),
        steps=sum(x["steps"] for x in made),
        time=sum(x["minutes"] for x in made),
        s="" if o.threads == 1 else "s",
        precision="bfloat16 products" if o.bf16 else "float32",
        optimizer=("AdamW at first, then " if len(made) > 1 else "")
        + ("Muon for the matrices inside the layers, AdamW for the rest" if o.muon else "AdamW"),
    )
    return head + "\n".join(row(s) for s in scores) + "\n" + TAIL.format(verdict=verdict(scores))
