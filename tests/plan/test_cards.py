from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneworthy.plan.cards import front_matter, read_card


def test_a_folder_without_files_says_nothing(tmp_path: Path) -> None:
    assert read_card(tmp_path).model_dump(exclude_defaults=True) == {}


def test_a_card_is_read(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(
        "---\nlicense: other\nlicense_name: Qwen\nbase_model: [a/b, c/d]\ndatasets: x/y\n---\n# Text\n---\n", "utf-8"
    )
    card = read_card(tmp_path)
    assert (card.licence, card.bases, card.datasets) == ("qwen", ("a/b", "c/d"), ("x/y",))


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("# no front matter", ""),
        ("---\n---\n", ""),
        ("---\n[1, 2\n---\n", "not YAML"),
        ("---\n- a\n- b\n---\n", "no table"),
        ("---\nlicense: 2024-13-45\n---\n", "not YAML"),
        ("---\n!!python/object/apply:os.system ['true']\n---\n", "not YAML"),
        ("---\n? {a: b}\n: c\n---\n", "not YAML"),
    ],
)
def test_front_matter_that_is_none_is_told(text: str, trouble: str) -> None:
    found, told = front_matter(text)
    assert trouble in told
    assert bool(told) == bool(trouble)
    assert isinstance(found, dict)


@settings(deadline=None)
@given(st.text(max_size=400))
def test_no_card_stops_the_plan(text: str) -> None:
    found, _ = front_matter(f"---\n{text}\n---\n")
    assert all(isinstance(key, str) for key in found)


@settings(deadline=None)
@given(
    readme=st.binary(max_size=200),
    config=st.one_of(st.binary(max_size=80), st.sampled_from([b"[]", b"{}", b'{"_name_or_path": 7}', b'{"a":' * 9000])),
    licence=st.binary(max_size=80),
)
def test_no_file_stops_the_plan(tmp_path_factory, readme: bytes, config: bytes, licence: bytes) -> None:
    folder = tmp_path_factory.mktemp("model")
    (folder / "README.md").write_bytes(b"---\n" + readme + b"\n---\n")
    (folder / "config.json").write_bytes(config)
    (folder / "adapter_config.json").write_bytes(config)
    (folder / "LICENSE").write_bytes(licence)
    card = read_card(folder)
    assert card.text_file == "LICENSE"
    assert all(isinstance(base, str) and base for base in card.bases)
