from tuneworthy.training.choice import Point, choose, contenders, out_of_patience


def points(*scores, error=0.05):
    return [
        Point(step=10 * number, epoch=number, loss=1.0, dev=score, standard_error=error)
        for number, score in enumerate(scores, start=1)
    ]


def test_the_earliest_within_one_standard_error_is_taken():
    chosen, why = choose(points(0.50, 0.71, 0.74, 0.72))
    assert chosen.step == 20
    assert "0.740" in why


def test_outside_one_standard_error_the_best_is_taken():
    assert choose(points(0.50, 0.60, 0.74, 0.60))[0].step == 30


def test_without_scores_the_last_is_taken():
    history = [Point(step=step, epoch=1, loss=1.0) for step in (5, 10)]
    chosen, why = choose(history)
    assert chosen.step == 10
    assert "no development score" in why


def test_a_checkpoint_without_a_score_is_never_chosen_over_one_with():
    history = [*points(0.4), Point(step=99, epoch=9, loss=1.0)]
    assert choose(history)[0].step == 10


def test_a_checkpoint_that_fell_behind_stays_out():
    history = points(0.50, 0.60)
    wide = Point(step=30, epoch=3, loss=1.0, dev=0.61, standard_error=0.2)  # 0.50 would be within reach again
    assert [point.step for point in contenders([*history, wide])] == [20, 30]


def test_patience_counts_scores_since_the_best():
    assert not out_of_patience(points(0.5, 0.6, 0.6), 2)
    assert out_of_patience(points(0.5, 0.6, 0.6, 0.55), 2)
    assert not out_of_patience(points(0.5, 0.6, 0.55, 0.7), 2)


def test_scores_of_zero_do_not_exhaust_patience():
    assert not out_of_patience(points(0.0, 0.0, 0.0, 0.0), 2)
