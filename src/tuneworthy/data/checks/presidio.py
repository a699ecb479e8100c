"""Names, places and further numbers, by Presidio (the extra `presidio`): beside our own patterns, when it is asked for.

Names need a language model of spaCy, which is installed apart: `python -m spacy download en_core_web_lg`. Without one
Presidio's pattern recognizers run alone. Its recognizers of URLs and e-mail addresses stay out: they fetch a list from
the network on first use, and e-mail is ours already. Loads neither before it is used.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from tuneworthy.data.checks.personal import Hit
from tuneworthy.data.findings import Batch, Finding, Found, NotMeasured, leaves, many
from tuneworthy.errors import MissingExtra

LEAST = 0.4
"""Score from which a hit counts: below it stand bare numbers of the right length."""
PATTERNS = ("CRYPTO", "MAC_ADDRESS", "MEDICAL_LICENSE", "UK_NHS", "US_DRIVER_LICENSE", "US_ITIN", "US_PASSPORT")
"""Kinds of its patterns that ours do not have."""
NAMES = ("PERSON", "LOCATION", "ORGANIZATION", "NRP")
"""Kinds of the language model; NRP = nationality, religion, political group."""
_ON_THE_NETWORK = ("UrlRecognizer", "EmailRecognizer")


def check(batch: Batch) -> Found:
    """One finding per kind.

    Raises:
        MissingExtra: Presidio is not installed.
    """
    analyzer, language, model = _analyzer()
    kinds = [*PATTERNS, *NAMES] if model else list(PATTERNS)
    if not model:
        reason = "no language model of spaCy is installed; run: python -m spacy download en_core_web_lg"
        yield NotMeasured(check="personal_data", what="names, places and organisations", reason=reason)
    rows: dict[str, dict[int, list[Hit]]] = defaultdict(lambda: defaultdict(list))
    for number, example in enumerate(batch.examples):
        texts = [str(value) for value in example.input.values() if isinstance(value, str)]
        texts += [value for _, value in leaves(example.expected) if isinstance(value, str)]
        for text in texts:
            for hit in find(analyzer, language, text, kinds):
                rows[hit.kind][number].append(hit)
    for kind, found in sorted(rows.items()):
        values = Counter(hit.text for hits in found.values() for hit in hits)
        yield Finding(
            check="personal_data",
            kind=f"presidio.{kind.lower()}",
            severity="note" if batch.usecase.use.personal_data else "review",
            what=f"{many(len(values), 'value')} in {many(len(found))}: {kind} for Presidio ({model or 'patterns'})",
            why="what is learnt can be repeated to anybody, and cannot be deleted from weights",
            rows=tuple(batch.ref(number, ", ".join(hit.masked for hit in hits)) for number, hits in found.items()),
            share=batch.share(len(found)),
            next="replace them in the source, or leave the rows out: tuneworthy data fix --drop",
        )


def find(analyzer: Any, language: str, text: str, kinds: Sequence[str]) -> list[Hit]:
    """Hits of these kinds in one text, from left to right."""
    found = analyzer.analyze(text, language=language, entities=list(kinds), score_threshold=LEAST)
    hits = [Hit(r.entity_type, r.start, r.end, text[r.start : r.end]) for r in found]
    return sorted(hits, key=lambda hit: (hit.start, hit.end))


def _analyzer() -> tuple[Any, str, str]:
    """(analyzer, language, spaCy model; empty where there is none)."""
    try:
        import presidio_analyzer
        import spacy
        from presidio_analyzer.nlp_engine import NoOpNlpEngine, SpacyNlpEngine
    except ImportError:
        raise MissingExtra("presidio-analyzer", "presidio") from None
    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)  # it warns of every language it is not asked for
    model = next(iter(sorted(spacy.util.get_installed_models(), key=lambda name: not name.startswith("en"))), "")
    language = model[:2] or "en"
    chosen = [{"lang_code": language, "model_name": model or "none"}]
    engine = SpacyNlpEngine(models=chosen) if model else NoOpNlpEngine(models=chosen)
    engine.load()
    return build(presidio_analyzer, engine, language), language, model


def build(presidio: Any, engine: Any, language: str) -> Any:
    """An analyzer that needs no network."""
    registry = presidio.RecognizerRegistry(supported_languages=[language])
    registry.load_predefined_recognizers(languages=[language], nlp_engine=engine)
    for name in _ON_THE_NETWORK:
        registry.remove_recognizer(name)
    return presidio.AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=[language])
