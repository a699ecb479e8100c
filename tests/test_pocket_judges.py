"""A real model as the judge: the pocket model, which is no judge, is found out."""

import pytest

from judging import HONEST, judged_folder
from tuneworthy import flow, judging
from tuneworthy.errors import JudgeNotCalibrated


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["rubric", "pairwise"])
def test_the_pocket_model_is_held_against_people_and_refused(tmp_path, mode):
    folder = judged_folder(tmp_path / "replies", HONEST, mode=mode)
    toml = folder / "usecase.toml"
    toml.write_text(toml.read_text().replace('base = "scripted"', 'base = "pocket"'))
    found = judging.calibrate_judge(folder, None)
    assert (found.n, found.unscored) == (60, {})
    assert any("no better than chance" in problem for problem in found.problems)
    assert any(problem.startswith("position") for problem in found.problems)
    assert "the judge is the base model of the arms" in found.warnings[0]
    with pytest.raises(JudgeNotCalibrated, match="may not carry the bar"):
        flow.lock_suite(folder, again=False)
