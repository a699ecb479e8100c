"""The bill of materials: CycloneDX 1.6 with a model card, for tools that ask what a release is made of.

Hashes and scores were computed here; names, licences and descriptions are declared by whoever gave them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from tuneworthy.release.records import FileHash, Manifest

FILE = "bom.cdx.json"

_SPDX = {
    "apache-2.0": "Apache-2.0",
    "mit": "MIT",
    "cc-by-4.0": "CC-BY-4.0",
    "cc-by-sa-4.0": "CC-BY-SA-4.0",
    "cc-by-nc-4.0": "CC-BY-NC-4.0",
    "cc0-1.0": "CC0-1.0",
    "bsd-3-clause": "BSD-3-Clause",
    "gpl-3.0": "GPL-3.0-only",
    "agpl-3.0": "AGPL-3.0-only",
    "openrail": "",
}
"""hub's name → SPDX id; a licence that is not here is given by its name"""

Json = dict[str, Any]


def page(manifest: Manifest) -> str:
    """JSON. `manifest.files` are the files that it lists."""
    usecase, number = manifest.usecase, manifest.number
    model = f"{usecase['name']}@{number}"
    base, data, suite = f"base:{manifest.base.name}", f"data:{manifest.data_version}", f"suite:{manifest.suite_lock}"
    materials = [ref for ref, there in ((base, True), (data, manifest.data_version), (suite, True)) if there]
    libraries = [_library(name, number) for name, number in sorted(manifest.versions.items())]
    listed = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": manifest.made,
            "tools": {"components": [{"type": "application", "name": "tuneworthy", "version": version("tuneworthy")}]},
            "component": {
                "type": "machine-learning-model",
                "bom-ref": model,
                "name": str(usecase["name"]),
                "version": str(number),
                "description": str(usecase["description"]),
                "modelCard": _card(manifest, [data] if manifest.data_version else []),
                "pedigree": {"ancestors": [_base(manifest, "ancestor:")]},
                "components": _files(manifest.files, "release/"),
                "properties": _properties({"lever": manifest.candidate.lever, "verdict": manifest.measured.decision}),
            },
        },
        "components": [_base(manifest), *_rows(manifest, data, suite), *libraries],
        "dependencies": [{"ref": model, "dependsOn": [*materials, *(library["bom-ref"] for library in libraries)]}],
    }
    named = uuid5(NAMESPACE_URL, json.dumps(listed, sort_keys=True))
    return json.dumps({"serialNumber": f"urn:uuid:{named}", **listed}, indent=1, ensure_ascii=False) + "\n"


def _card(manifest: Manifest, data: list[str]) -> Json:
    usecase, measured = manifest.usecase, manifest.measured
    interval = measured.arm.interval
    trained = manifest.candidate.adapter or manifest.candidate.tuned
    fields, output, bar = usecase["input"], usecase["output"], usecase["bar"]
    assert isinstance(fields, dict) and isinstance(output, dict) and isinstance(bar, dict)  # noqa: PT018  # resolved
    metrics: list[Json] = []
    if interval is not None:
        bounds = {"lowerBound": f"{interval.low:.6f}", "upperBound": f"{interval.high:.6f}"}
        suite = f"locked suite {manifest.suite_lock[:12]}, n = {measured.arm.n}"
        metrics = [
            {"type": str(bar["metric"]), "value": f"{interval.value:.6f}", "slice": suite, "confidenceInterval": bounds}
        ]
    return {
        "modelParameters": {
            **({"approach": {"type": "supervised"}} if trained else {}),
            "task": str(usecase["instruction"]),
            "datasets": [{"ref": ref} for ref in data if trained],
            "inputs": [{"format": f"{name}: {field['type']}"} for name, field in fields.items()],  # type: ignore[index, call-overload]
            "outputs": [{"format": str(output["kind"])}],
        },
        "quantitativeAnalysis": {"performanceMetrics": metrics},
        "considerations": {
            "useCases": [str(usecase["description"] or usecase["instruction"])],
            "technicalLimitations": [f"not measured: {line}" for line in measured.not_measured],
        },
    }


def _base(manifest: Manifest, mark: str = "") -> Json:
    base = manifest.base
    named: Json = {
        "type": "machine-learning-model",
        "bom-ref": f"{mark}base:{base.name}",
        "name": base.name,
        **({"version": base.revision} if base.revision else {}),
        **_licences(manifest, ("model", "base", "merged")),
        "properties": _properties({"identity": base.identity, "endpoint": base.endpoint}),
    }
    hashed = {name: FileHash(sha256=sha256, bytes=0) for name, sha256 in base.files.items()}
    return named if mark else {**named, "components": _files(hashed, "base/")}


def _rows(manifest: Manifest, data: str, suite: str) -> Iterator[Json]:
    if manifest.data_version:
        yield {
            "type": "data",
            "bom-ref": data,
            "name": "examples",
            "hashes": [{"alg": "SHA-256", "content": manifest.data_version}],
            "data": [{"type": "dataset", "name": "examples to learn from, and the development split"}],
            **_licences(manifest, ("data",)),
        }
    yield {
        "type": "data",
        "bom-ref": suite,
        "name": "suite",
        "hashes": [{"alg": "SHA-256", "content": manifest.suite_lock}],
        "data": [{"type": "dataset", "name": "locked cases, never learned from"}],
    }


def _files(files: Mapping[str, FileHash], mark: str) -> list[Json]:
    return [
        {
            "type": "file",
            "bom-ref": f"{mark}{name}",
            "name": name,
            "hashes": [{"alg": "SHA-256", "content": found.sha256}],
        }
        for name, found in sorted(files.items())
    ]


def _library(name: str, number: str) -> Json:
    purl = f"pkg:pypi/{name}@{number.replace('+', '%2B')}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": number, "purl": purl}


def _licences(manifest: Manifest, roles: tuple[str, ...]) -> Json:
    links = [] if manifest.licence is None else [link for link in manifest.licence.links if link.role in roles]
    ids = sorted({link.licence for link in links if link.licence})
    told = [{"license": {"id": _SPDX[i]} if _SPDX.get(i) else {"name": i}} for i in ids]
    return {"licenses": told} if told else {}


def _properties(named: Mapping[str, str]) -> list[Json]:
    return [{"name": f"tuneworthy:{key}", "value": value} for key, value in named.items() if value]
