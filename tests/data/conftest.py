import os
import sys
from pathlib import Path

import pytest
from sample_rows import make_usecase

sys.path.insert(0, str(Path(__file__).parents[1]))

SHARED = Path(os.environ.get("TUNEWORTHY_SHARED", Path(__file__).parents[2].parent / "shared"))


@pytest.fixture
def usecase():
    return make_usecase()


@pytest.fixture
def text_usecase():
    return make_usecase(kind="text", labels=())


@pytest.fixture(scope="session")
def banking77():
    folder = SHARED / "data" / "banking77" / "banking_data"
    if not folder.is_dir():
        pytest.skip(f"BANKING77 is not at hand: set TUNEWORTHY_SHARED (looked in {SHARED})")
    return folder
