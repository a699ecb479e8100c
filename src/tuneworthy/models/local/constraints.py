"""Labels and JSON Schema enforced while decoding, with llguidance's token masks."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from functools import cache
from typing import Any

import numpy as np

from tuneworthy.records import Constraint


class Grammar:
    """Compiles constraints for one tokenizer."""

    def __init__(self, tokenizer: Any, vocabulary: int, stop_ids: Collection[int]) -> None:
        import llguidance.hf

        self.vocabulary = vocabulary
        self._stop_ids = sorted(stop_ids)
        self._tokens = llguidance.hf.from_tokenizer(tokenizer, n_vocab=vocabulary, eos_token=self._stop_ids[0])
        self._compiled = cache(_compile)

    def problem(self, constraint: Constraint) -> str:
        """Why it cannot be enforced; empty when it can."""
        from llguidance import LLMatcher

        try:
            return str(LLMatcher.validate_grammar(self._text(constraint), self._tokens) or "")
        except ValueError as error:
            return str(error)

    def matcher(self, constraint: Constraint) -> Any:
        """The state of one answer under a constraint."""
        from llguidance import LLMatcher

        return LLMatcher(self._tokens, self._text(constraint), log_level=0)

    def allowed(self, matcher: Any) -> np.ndarray:
        """Boolean array of shape (vocabulary,): the tokens that may come next."""
        bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
        allowed = np.unpackbits(bits, bitorder="little")[: self.vocabulary].astype(bool)
        # The grammar knows one stop token. Where it may come every other may, too: a model that ends its answers with
        # another one would otherwise be pushed on, from `refund` to `refunds`.
        allowed[self._stop_ids] = allowed[self._stop_ids[0]]
        return allowed

    def _text(self, constraint: Constraint) -> str:
        return str(self._compiled(constraint.kind, constraint.labels, json.dumps(constraint.json_schema)))


def _compile(kind: str, labels: tuple[str, ...], schema: str) -> str:
    from llguidance import LLMatcher

    if kind == "labels":
        return str(LLMatcher.grammar_from_regex("|".join(re.escape(label) for label in labels)))
    # The separators of json.dumps, so that enforced answers look like the expected ones.
    options = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
    return str(LLMatcher.grammar_from_json_schema(schema, defaults=options))
