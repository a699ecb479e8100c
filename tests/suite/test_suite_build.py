"""Cases drawn from rows: whole clusters, in proportion, the same for the same seed."""

import random
from collections import Counter

import pytest

from tuneworthy.data.read import read_cases
from tuneworthy.errors import SuiteNotLocked
from tuneworthy.records import Example
from tuneworthy.suite import lock as suite_lock
from tuneworthy.suite.build import draw, write_cases

PAIRED = [number // 2 for number in range(200)]


def test_cases_are_drawn_in_whole_clusters(rows):
    cases = draw(rows, PAIRED, n=60, seed=1)
    drawn = {case.id for case in cases}
    assert len(drawn) == 60
    for first, second in zip(rows[::2], rows[1::2], strict=True):
        assert (first.name in drawn) == (second.name in drawn)
    assert Counter(Counter(case.cluster for case in cases).values()) == {2: 30}


def test_labels_stand_in_their_proportion(rows):
    cases = draw(rows, PAIRED, n=60, seed=1)
    assert Counter(case.expected for case in cases) == {"billing": 44, "shipping": 16}


def test_a_rare_label_gets_a_case_where_there_is_room():
    rows = [Example(input={"letter": f"text {i}"}, expected="rare" if i == 7 else "billing") for i in range(400)]
    assert Counter(c.expected for c in draw(rows, range(400), n=40, seed=0)) == {"billing": 39, "rare": 1}


def test_the_seed_decides_and_the_order_of_rows_does_not(rows):
    cases = draw(rows, PAIRED, n=60, seed=1)
    mixed = random.Random(0).sample(range(200), 200)
    again = draw([rows[i] for i in mixed], [1000 - PAIRED[i] for i in mixed], n=60, seed=1)
    assert again == cases
    assert draw(rows, PAIRED, n=60, seed=2) != cases


def test_the_seed_decides_where_every_row_has_an_output_of_its_own():
    rows = [Example(input={"question": f"{i}"}, expected=f"answer {i}") for i in range(200)]
    first, second = ({case.id for case in draw(rows, range(200), n=50, seed=seed)} for seed in (1, 2))
    assert len(first) == len(second) == 50
    assert len(first & second) < 30


def test_a_large_cluster_stays_with_the_examples(rows):
    clusters = [0 if number < 100 else number for number in range(200)]
    drawn = {case.id for case in draw(rows, clusters, n=50, seed=0)}
    assert drawn.isdisjoint(row.name for row in rows[:100])


def test_doubled_rows_give_one_case_and_contradicted_rows_none(rows):
    torn = Example(input=rows[0].input, expected="shipping")
    assert rows[0].expected == "billing"
    cases = draw([*rows, *rows[10:20], torn], [*range(200), *range(300, 311)], n=200, seed=0)
    assert len(cases) == len({case.id for case in cases}) == 199
    assert rows[0].input not in [case.input for case in cases]


@pytest.mark.parametrize(
    ("count", "n", "says"), [(29, 100, "only 29 cases"), (200, 29, "of 29 asked for"), (0, 50, "from 0 rows")]
)
def test_fewer_than_thirty_are_refused(rows, count, n, says):
    with pytest.raises(SuiteNotLocked, match=says):
        draw(rows[:count], range(count), n=n, seed=0)


def test_drawn_cases_are_written_read_and_locked(rows, project):
    cases = draw(rows, PAIRED, n=60, seed=1)
    write_cases(project.cases_file, cases)
    assert sorted(read_cases(project.cases_file, project.usecase), key=lambda case: case.id) == list(cases)
    assert len(suite_lock.lock(project, project.usecase, cases).cases) == 60


def test_cases_that_stood_there_before_are_kept(project, cases, on_disk):
    before = on_disk.read_bytes()
    write_cases(on_disk, cases)
    assert not on_disk.with_name("cases.jsonl.old").exists()
    write_cases(on_disk, cases[:3])
    assert on_disk.with_name("cases.jsonl.old").read_bytes() == before
