"""How far did training move the model's next-token distributions? An early warning; it decides nothing.

KL(base ‖ tuned) in nats per token: on short chats far from the task, and on the task's own prompts. The second has been
seen to follow forgetting across methods (arXiv 2509.04259); measures of forgetting disagree, so behaviour decides
(`retention`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tuneworthy.measure.retention import items
from tuneworthy.measure.statistics import t_interval
from tuneworthy.records import Interval, Message, Record
from tuneworthy.seams import Transparent

EVERY = 7
"""one probe item in so many is read: 60 short chats that we wrote"""
MOST = 60

Chat = tuple[Message, ...]


class Drift(Record):
    """Mean KL(base ‖ tuned) in nats per token; intervals over chats (t)."""

    general: float
    general_interval: Interval | None
    n_general: int
    task: float
    """on the task's prompts with their expected answers, development split"""
    task_interval: Interval | None
    n_task: int


def general_chats() -> tuple[Chat, ...]:
    """Questions of the probe of other abilities with their right answers."""
    return tuple(
        (Message(role="user", content=item.ask), Message(role="assistant", content=item.right))
        for item in items()[::EVERY]
    )


def measure(base: Transparent, tuned: Transparent, task: Sequence[Chat]) -> Drift:
    """Both distances. `task`: the task's chats, prompt and expected answer; at most 60 are read."""
    general, own = divergences(base, tuned, general_chats()), divergences(base, tuned, task[:MOST])
    return Drift(
        general=float(np.mean(general)),
        general_interval=t_interval(general),
        n_general=len(general),
        task=float(np.mean(own)),
        task_interval=t_interval(own),
        n_task=len(own),
    )


def divergences(base: Transparent, tuned: Transparent, chats: Sequence[Chat]) -> list[float]:
    """Mean KL over the tokens of each chat."""
    pairs = zip(base.distributions(chats), tuned.distributions(chats), strict=True)
    return [divergence(before, after) for before, after in pairs]


def divergence(before: np.ndarray, after: np.ndarray) -> float:
    """Mean over positions of Σ p (log p − log q), for log-probabilities of shape (tokens, vocabulary), in nats."""
    p, q = before.astype(np.float64), after.astype(np.float64)
    kl = np.where(np.isfinite(p), np.exp(p) * (p - q), 0.0).sum(-1)
    return float(max(0.0, kl.mean()))
