"""The dashboard and the guide name metrics that the gateway exports, with labels that they have, and all of them."""

import json
import re
from pathlib import Path

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tuneworthy.serving.gateway import Gateway, Limits
from tuneworthy.serving.keys import Keys

GUIDES = Path(__file__).parents[2] / "docs" / "guides"


def exported():
    """sample name → labels, of a gateway whose every metric was used once."""
    gateway = Gateway(Keys, Limits())
    labels = {}
    for metric in gateway.registry._collector_to_names:
        names = metric._labelnames
        child = metric.labels(*["x"] * len(names)) if names else metric
        (child.observe if hasattr(child, "observe") else child.inc)(1)
    for family in text_string_to_metric_families(generate_latest(gateway.registry).decode()):
        for sample in family.samples:
            labels[sample.name] = set(sample.labels)
    return {name: found for name, found in labels.items() if not name.endswith("_created")}


def queries():
    dashboard = json.loads((GUIDES / "grafana.json").read_text("utf-8"))
    variables = [one["query"]["query"] for one in dashboard["templating"]["list"] if one["type"] == "query"]
    return variables + [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def test_every_query_asks_for_a_metric_that_is_exported_with_labels_that_it_has():
    known = exported()
    for query in queries():
        used = re.findall(r"(tuneworthy_\w+)(?:\{([^}]*)\})?", query)
        assert used, query
        for name, selector in used:
            assert name in known, query
            assert set(re.findall(r"(\w+)\s*(?:=~|!=|=)", selector)) <= known[name], query
        for grouped in re.findall(r"by \(([^)]*)\)", query):
            assert {label.strip() for label in grouped.split(",")} <= known[used[0][0]], query


def test_every_metric_stands_in_the_dashboard_and_in_the_guide():
    families = {name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") for name in exported()}
    text = "\n".join(queries())
    guide = (GUIDES / "watch.md").read_text("utf-8")
    assert {name for name in families if name not in text} == set()
    assert {name for name in families if f"`{name}`" not in guide} == set()
