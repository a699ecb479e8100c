"""A release holds exactly what was measured, opens without the project, and shows every kind of tampering."""

import json
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from released import SIGNS, build, record, released, scripted_project, tiny_project
from weights import write_adapter

from small import small_usecase
from tuneworthy import flow
from tuneworthy.answering import Answerer
from tuneworthy.errors import GateRefused, MissingExtra, ModelError, TuneworthyError
from tuneworthy.ground import prepare
from tuneworthy.models.local.files import silent_peft
from tuneworthy.models.open import open_model
from tuneworthy.release import bom, drill, fingerprint, package, signature, verify
from tuneworthy.release.package import open_release
from tuneworthy.serving import gate


@pytest.fixture(scope="module", autouse=True)
def _offline():
    with pytest.MonkeyPatch.context() as patch, silent_peft():
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setattr("tuneworthy.content.os.fsync", lambda file: None)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(project, release) of a tiny model with an adapter, and two examples in the prompt."""
    project = tiny_project(tmp_path_factory.mktemp("released") / "small")
    return project, released(project, trained=True, shots=True)


@pytest.fixture
def copy(made, tmp_path):
    """A copy of the release to spoil, under its own name."""
    there = tmp_path / made[1].name
    shutil.copytree(made[1].folder, there)
    return there


def answers(release, model, cases):
    return [answer.text for answer in release.answerer(model).answer([case.input for case in cases])]


def test_a_release_answers_as_the_candidate_that_was_measured(made, copy):
    project, release = made
    ground = prepare(project)
    model = open_model(ground.usecase, project.folder)
    from tuneworthy import flow

    measured = Answerer(record(project, trained=True, shots=True).candidates["lora"], flow.open_bench(ground).sources)
    wanted = [answer.text for answer in measured.answer([case.input for case in ground.cases])]
    elsewhere = open_release(copy)
    assert answers(elsewhere, model, ground.cases) == wanted
    assert verify.problems(release, project.folder / "base") == []
    assert verify.problems(elsewhere) == []


def test_its_name_is_its_content(made):
    project, release = made
    again = released(project, trained=True, shots=True)
    assert release.name.startswith("small--v0001-")
    assert again.name.startswith("small--v0002-")
    assert [found.name for found in package.releases(project)] == [release.name, again.name]
    assert package.find(project, "v0001").name == release.name
    assert package.find(project, "").name == again.name
    with pytest.raises(ModelError, match="2 releases"):
        package.find(project, "small")


def test_line_separators_inside_a_text_do_not_cut_cases_or_examples(tmp_path):
    """U+2028, U+2029 and U+0085 stand unescaped in JSON, and `str.splitlines` cuts at them."""
    project = small_usecase(tmp_path / "small")
    (project.folder / "scripted.json").write_text(json.dumps(SIGNS), "utf-8")
    for path in (project.cases_file, project.native_examples):
        path.write_text(path.read_text("utf-8").replace("pipe", "\u2028pipe\u2029a\u0085b"), "utf-8")
    flow.lock_suite(project.folder, again=False)
    release = released(project, trained=False, shots=True)
    assert any("\u2028" in case.input["message"] for case in release.cases)
    assert len(release.cases) == 40
    assert verify.problems(release) == []
    texts = answers(release, open_model(release.usecase, project.folder), release.cases[: gate.SLICE])
    assert gate.suite(release, texts).state == "passed"
    rows = (release.folder / "examples.jsonl").read_bytes()
    assert drill._shifted(rows).count(b"\n") == rows.count(b"\n") > 0


def test_a_release_of_an_earlier_version_keeps_its_name(copy):
    """Fields that were added since are not in its manifest, and it is whole all the same."""
    from tuneworthy.content import digest

    path = copy / "manifest.json"
    older = {key: value for key, value in json.loads(path.read_text("utf-8")).items() if key != "override"}
    path.write_text(json.dumps(older), "utf-8")
    there = copy.rename(copy.with_name(f"small--v0001-{digest(older)[:12]}"))
    release = open_release(there)
    assert release.name == there.name
    assert verify.problems(release) == []


def spoil(kind, folder):
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    if kind == "a weight":
        path = folder / "adapter" / "adapter_model.safetensors"
        raw = bytearray(path.read_bytes())
        raw[-1] ^= 1
        path.write_bytes(raw)
    elif kind == "adapter config":
        path = folder / "adapter" / "adapter_config.json"
        path.write_text(path.read_text("utf-8").replace('"lora_alpha": 8', '"lora_alpha": 16'), "utf-8")
    elif kind == "another adapter":
        shutil.rmtree(folder / "adapter")
        write_adapter(folder.parent / "small" / "base", folder / "adapter", seed=5)
    elif kind == "missing file":
        (folder / "README.md").unlink()
    elif kind == "added file":
        (folder / "adapter" / "extra.bin").write_bytes(b"x")
    elif kind == "a link":
        path = folder / "examples.jsonl"
        target = folder.parent / "elsewhere.jsonl"
        path.rename(target)
        path.symlink_to(target)
    elif kind == "a case":
        path = folder / "cases.jsonl"
        path.write_text(path.read_text("utf-8").replace("case-00", "case-99"), "utf-8")
    elif kind == "an example":
        path = folder / "examples.jsonl"
        path.write_text("\n".join(path.read_text("utf-8").split("\n")[1:]), "utf-8")
    elif kind == "the score":
        manifest["measured"]["arm"]["interval"]["value"] = 0.99
    elif kind == "the prompt":
        manifest["candidate"]["prompt"]["instruction"] = "Say keys."
    elif kind == "a hash":
        manifest["files"]["README.md"]["sha256"] = "0" * 64
    elif kind == "the lock":
        path = folder / "suite.lock"
        path.write_text(path.read_text("utf-8").replace("0.75", "0.70"), "utf-8")
    if kind in ("the score", "the prompt", "a hash"):
        (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")


KINDS = {
    "a weight": "adapter_model.safetensors was changed",
    "adapter config": "does not hold the weights",
    "missing file": "README.md is missing",
    "added file": "extra.bin was added",
    "a link": "is a link",
    "a case": "does not hold the locked cases",
    "an example": "examples.jsonl was changed",
    "the score": "the manifest is that of",
    "the prompt": "not the one that was measured",
    "a hash": "README.md was changed",
    "the lock": "the suite cannot be read",
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_tampering_is_found(copy, kind):
    spoil(kind, copy)
    found = verify.problems(open_release(copy))
    assert any(KINDS[kind] in problem for problem in found), found


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff\xfe", b'{"format": 2}'])
def test_a_damaged_manifest_is_an_error_that_names_it(copy, raw):
    (copy / "manifest.json").write_bytes(raw)
    with pytest.raises(ModelError, match="cannot be read") as refused:
        open_release(copy)
    assert refused.value.where == str(copy / "manifest.json")


def test_another_base_model_is_named_and_refused(made, tmp_path):
    from tiny import tiny_model

    project, release = made
    other = tiny_model(tmp_path / "other", seed=9)
    assert "model.safetensors of the base model is another one" in verify.problems(release, other)
    usecase = release.usecase.model_copy(
        update={"model": release.usecase.model.model_copy(update={"base": str(other)})}
    )
    with pytest.raises(ModelError, match="another base model"):
        release.answerer(open_model(usecase, project.folder))


def test_only_what_the_verdict_carries_is_released_unless_somebody_writes_why(made):
    project, _ = made
    found = record(project, trained=True, bar_met=False)
    with pytest.raises(GateRefused, match="does not carry a release of lora"):
        build(project, found)
    reason = "the customer wants to try it all the same"
    assert build(project, found, override=reason).manifest.override == reason
    with pytest.raises(GateRefused, match="no arm called 'rag'"):
        package.build(prepare(project), None, found, "rag")


def test_what_changed_since_the_run_is_not_released(tmp_path):
    project = scripted_project(tmp_path / "small")
    found = record(project, trained=False)
    rows = (project.folder / "data" / "examples.jsonl").read_text("utf-8").splitlines()
    (project.folder / "data" / "examples.jsonl").write_text("\n".join(rows[1:]), "utf-8")
    with pytest.raises(GateRefused, match="the examples changed since the last run"):
        build(project, found)
    assert list(project.releases.glob("*")) == []


def test_an_adapter_that_changes_nothing_is_not_released(tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    project = tiny_project(tmp_path / "small")
    path = project.adapters / "one" / "adapter_model.safetensors"
    save_file({name: torch.zeros_like(weight) for name, weight in load_file(path).items()}, path, {"format": "pt"})
    with pytest.raises(GateRefused, match="change none of"):
        released(project, trained=True)
    assert list(project.releases.glob("*")) == []


def test_the_fingerprint_is_met_by_the_release_and_by_nothing_else(made):
    project, release = made
    model = open_model(release.usecase, project.folder)
    mark = release.manifest.fingerprint
    assert len(mark.probes) >= 8
    assert mark.must_differ
    assert all(probe.answer.logprob is not None and probe.tells_apart for probe in mark.probes)
    states = {check.what: check.state for check in fingerprint.check(mark, release.answerer(model))}
    assert set(states.values()) == {"passed"}
    untrained = Answerer(
        release.manifest.candidate.model_copy(update={"adapter": None}), release.answerer(model).sources
    )
    states = {check.what: check.state for check in fingerprint.check(mark, untrained)}
    assert states["the trained weights act"] == "failed"
    assert states["answers as recorded"] == "failed"


def test_a_weakened_adapter_is_told_by_its_answers_or_its_log_probabilities(made):
    project, release = made
    model = open_model(release.usecase, project.folder)
    candidate = release.manifest.candidate
    weak = candidate.model_copy(update={"adapter": candidate.adapter.model_copy(update={"scale": 0.8})})
    checks = fingerprint.check(release.manifest.fingerprint, Answerer(weak, release.answerer(model).sources))
    assert "failed" in {check.state for check in checks}


def test_a_change_that_flips_no_answer_is_told_by_the_answers_in_doubt(made):
    project, release = made
    model = open_model(release.usecase, project.folder)
    candidate, mark = release.manifest.candidate, release.manifest.fingerprint
    weak = candidate.model_copy(update={"adapter": candidate.adapter.model_copy(update={"scale": 0.998})})
    checks = fingerprint.check(mark, Answerer(weak, release.answerer(model).sources))
    states = {check.what: check.state for check in checks}
    assert states["doubt as recorded"] == "failed"
    assert states["answers as recorded"] == "passed"
    older = mark.model_copy(update={"doubtful": ()})
    assert fingerprint.check(older, release.answerer(model))[-1].state == "not measured"


def test_another_prompt_is_told(made):
    project, release = made
    model = open_model(release.usecase, project.folder)
    candidate = release.manifest.candidate
    other = candidate.model_copy(update={"prompt": candidate.prompt.model_copy(update={"reminder": "Be brief."})})
    checks = fingerprint.check(release.manifest.fingerprint, Answerer(other, release.answerer(model).sources))
    assert checks[0].state == "failed"


def test_a_release_of_an_untrained_lever_needs_no_weights(tmp_path):
    project = scripted_project(tmp_path / "small")
    release = released(project, trained=False)
    assert not release.manifest.fingerprint.must_differ
    assert not (release.folder / "adapter").exists()
    assert not (release.folder / "examples.jsonl").exists()
    assert verify.problems(release) == []
    assert "base_model_relation" not in (release.folder / "README.md").read_text("utf-8")


def test_a_release_is_made_again_from_what_it_recorded(tmp_path, monkeypatch):
    from tuneworthy import flow, service

    project = scripted_project(tmp_path / "small")
    monkeypatch.setattr(flow, "minilm_at_hand", lambda: False)
    run = flow.run(project.folder, Quiet())
    release = service.release(project.folder, "", override="")
    assert release.manifest.candidate.lever == run.verdict.lever
    found = service.reproduce(project.folder, "", Quiet())
    assert found.same_candidate
    path = project.folder / "usecase.toml"
    path.write_text(path.read_text("utf-8").replace("name the team", "say the team"), "utf-8")
    with pytest.raises(GateRefused, match="instruction"):
        service.reproduce(project.folder, "", Quiet())


class Quiet:
    """A listener that is silent."""

    def step(self, what, done, total):
        pass

    def lever(self, name, state, text):
        pass

    def arm(self, report, comparison):
        pass


def test_what_the_licences_ask_is_part_of_the_release_and_what_they_forbid_is_refused(tmp_path):
    project = tiny_project(tmp_path / "small")
    (project.folder / "base" / "README.md").write_text("---\nlicense: apache-2.0\n---\n", "utf-8")
    (project.folder / "base" / "NOTICE").write_text("The makers of base.", "utf-8")
    release = released(project, trained=True)
    assert "apache-2.0" in (release.folder / "NOTICE.md").read_text("utf-8").lower()
    assert (release.folder / "BASE-NOTICE").read_text("utf-8") == "The makers of base."
    assert verify.problems(release) == []
    (project.folder / "base" / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n", "utf-8")
    with pytest.raises(GateRefused, match="licence stands against"):
        released(project, trained=True)


def test_the_bill_of_materials_is_valid_cyclonedx_and_names_what_the_release_is_made_of(made):
    from jsonschema.validators import validator_for
    from referencing import Registry, Resource

    schemas = pytest.importorskip("cyclonedx.schema._res")
    folder = Path(next(iter(schemas.__path__)))
    held = {path.name: json.loads(path.read_text("utf-8")) for path in folder.glob("*.schema.json")}
    official = held["bom-1.6.SNAPSHOT.schema.json"]
    registry = Registry().with_resources(
        [(schema["$id"], Resource.from_contents(schema)) for schema in held.values() if "$id" in schema]
    )
    check = validator_for(official)(official, registry=registry)
    _, release = made
    found = json.loads((release.folder / bom.FILE).read_text("utf-8"))
    assert [error.message for error in check.iter_errors(found)] == []
    assert list(check.iter_errors({**found, "serialNumber": "none"}))
    model = found["metadata"]["component"]
    hashed = {part["name"]: part["hashes"][0]["content"] for part in model["components"]}
    assert hashed["adapter/adapter_model.safetensors"] == (
        release.manifest.files["adapter/adapter_model.safetensors"].sha256
    )
    parts = {part["bom-ref"]: part for part in found["components"]}
    base = parts["base:base"]
    assert {part["name"]: part["hashes"][0]["content"] for part in base["components"]} == release.manifest.base.files
    assert parts[f"data:{release.manifest.data_version}"]["hashes"][0]["content"] == release.manifest.data_version
    assert set(found["dependencies"][0]["dependsOn"]) == set(parts)
    metric = model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"][0]
    assert float(metric["value"]) == pytest.approx(release.manifest.measured.arm.interval.value, abs=1e-6)


def test_the_card_is_read_by_the_hubs_own_library(made):
    from huggingface_hub import ModelCard

    _, release = made
    told = ModelCard((release.folder / "README.md").read_text("utf-8")).data
    assert (told.base_model, told.library_name, told.license) == ("base", "peft", "other")
    assert told.eval_results[0].metric_value == pytest.approx(release.manifest.measured.arm.interval.value, abs=1e-4)
    assert "# Data statement: small" in (release.folder / "DATA.md").read_text("utf-8")


@pytest.fixture
def keys(tmp_path):
    """(private, public), two pairs."""
    pytest.importorskip("OpenSSL")
    pytest.importorskip("model_signing")
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec

    found = []
    for name in ("own", "other"):
        key = ec.generate_private_key(ec.SECP256R1())
        private, public = tmp_path / f"{name}.key", tmp_path / f"{name}.pub"
        private.write_bytes(
            key.private_bytes(form.Encoding.PEM, form.PrivateFormat.TraditionalOpenSSL, form.NoEncryption())
        )
        public.write_bytes(key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo))
        found.append((private, public))
    return found


def test_a_signed_release_is_good_for_its_key_alone_and_tampering_is_found(made, copy, keys):
    (private, public), (_, other) = keys
    assert "not signed" in verify.problems(open_release(copy), key=public)[0]
    signature.sign(copy, private)
    assert verify.problems(open_release(copy), key=public) == []
    assert verify.problems(open_release(copy)) == []
    assert "does not hold" in verify.problems(open_release(copy), key=other)[0]
    (copy / ".gitignore").write_text("x", "utf-8")
    assert "does not hold" in verify.problems(open_release(copy), key=public)[-1]


def test_a_release_made_anew_by_somebody_else_is_told_by_its_signature_alone(made, copy, keys):
    """Every hash agrees again: only the key of whoever made it does not."""
    (private, public), _ = keys
    signature.sign(copy, private)
    manifest = open_release(copy).manifest
    forged = manifest.model_copy(update={"override": "trust me"})
    (copy / "manifest.json").write_text(forged.model_dump_json(indent=1) + "\n", "utf-8")
    there = copy.rename(copy.with_name(forged.name))
    assert verify.problems(open_release(there)) == []
    assert "does not hold" in verify.problems(open_release(there), key=public)[0]


@pytest.mark.parametrize("raw", [b"", b"{}", b"\xff", b'{"mediaType": "x"}'])
def test_a_damaged_signature_does_not_hold(made, copy, keys, raw):
    (copy / signature.FILE).write_bytes(raw)
    assert "does not hold" in verify.problems(open_release(copy), key=keys[0][1])[0]


def test_a_key_that_is_none_is_an_error_before_anything_is_built(made, tmp_path, keys, monkeypatch):
    project, _ = made
    before = set(project.releases.iterdir())
    wrong = tmp_path / "wrong.key"
    wrong.write_text("no key", "utf-8")
    for key in (tmp_path / "none.key", wrong):
        with pytest.raises(TuneworthyError, match="key") as refused:
            build(project, record(project, trained=True, shots=True), key=key)
        assert "openssl ecparam" in refused.value.next
    monkeypatch.setattr("tuneworthy.release.signature.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="model-signing"):
        build(project, record(project, trained=True, shots=True), key=keys[0][0])
    assert set(project.releases.iterdir()) == before


def test_a_release_is_built_signed(made, keys):
    project, _ = made
    release = build(project, record(project, trained=True, shots=True), key=keys[0][0])
    assert verify.problems(release, project.folder / "base", keys[0][1]) == []
