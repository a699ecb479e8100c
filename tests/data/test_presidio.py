"""Presidio beside our own patterns: what runs without a language model, what one would add, and no network."""

import builtins
import json
import socket

import pytest
from conftest import SHARED
from sample_rows import make_usecase, rows

from tuneworthy.data.checks import presidio
from tuneworthy.data.findings import Batch, NotMeasured
from tuneworthy.errors import MissingExtra

TEXTS = ("pay to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "NHS 401-023-2137, from Jane Roe in Basel", "see www.example.org")


def batch(*texts):
    return Batch(make_usecase(), rows(*texts))


def test_without_the_package_it_says_how_to_get_it(monkeypatch):
    real = builtins.__import__

    def no(name, *args, **kwargs):
        if name.startswith("presidio"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no)
    with pytest.raises(MissingExtra, match="pip install 'tuneworthy\\[presidio\\]'"):
        list(presidio.check(batch(*TEXTS)))


@pytest.fixture
def offline(monkeypatch):
    pytest.importorskip("presidio_analyzer", reason="presidio-analyzer is not installed: make peers")

    def refused(*args, **kwargs):
        raise AssertionError("asked the network")

    monkeypatch.setattr(socket, "create_connection", refused)
    monkeypatch.setattr(socket.socket, "connect", refused)


def test_patterns_run_alone_where_there_is_no_model_and_it_says_so(offline, monkeypatch):
    monkeypatch.setattr("spacy.util.get_installed_models", list)
    found = list(presidio.check(batch(*TEXTS)))
    gap = next(item for item in found if isinstance(item, NotMeasured))
    assert "spacy download" in gap.reason
    assert {item.kind for item in found if item is not gap} == {"presidio.crypto", "presidio.uk_nhs"}
    assert "1A1zP1" not in str(found)


def test_with_a_model_names_and_places_are_found(offline):
    import presidio_analyzer
    import spacy
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    tagger = spacy.blank("en")  # stands for a model: spaCy's own are not on the package index
    known = [{"label": "PERSON", "pattern": "Jane Roe"}, {"label": "GPE", "pattern": "Basel"}]
    tagger.add_pipe("entity_ruler").add_patterns(known)
    engine = SpacyNlpEngine(models=[{"lang_code": "en", "model_name": "blank"}])
    engine.nlp = {"en": tagger}
    analyzer = presidio.build(presidio_analyzer, engine, "en")
    hits = presidio.find(analyzer, "en", TEXTS[1], [*presidio.PATTERNS, *presidio.NAMES])
    assert [(hit.kind, hit.text) for hit in hits] == [
        ("UK_NHS", "401-023-2137"),
        ("PERSON", "Jane Roe"),
        ("LOCATION", "Basel"),
    ]


def test_no_name_is_found_by_patterns_in_presidios_own_texts(offline):
    path = SHARED / "data" / "presidio" / "data" / "synth_dataset_v2.json"
    if not path.exists():
        pytest.skip("presidio-research is not at hand")
    texts = [row["full_text"] for row in json.loads(path.read_text("utf-8"))[:100]]
    analyzer, language, model = presidio._analyzer()
    if model:
        pytest.skip("a language model is installed")
    kinds = {hit.kind for text in texts for hit in presidio.find(analyzer, language, text, presidio.PATTERNS)}
    assert not kinds & set(presidio.NAMES)
