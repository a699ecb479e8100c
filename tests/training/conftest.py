import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from toys import toy_rows

from tiny import tiny_model
from tuneworthy.training.network import open_base
from tuneworthy.training.tokens import encode


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("base"))


@pytest.fixture
def base(base_folder):
    return open_base(base_folder)


@pytest.fixture
def encoded(base):
    return encode(base.tokenizer, toy_rows(8), 128, stop_ids=base.stop_ids)
