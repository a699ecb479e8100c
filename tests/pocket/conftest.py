"""The builder lies beside the package and is not installed, so its tests put the repository on the path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
