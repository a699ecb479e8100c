from sample import sample

from tuneworthy.plan.break_even import Alternative, break_even
from tuneworthy.plan.records import BreakEven, Duty, Licence, Link, estimate
from tuneworthy.records import Interval
from tuneworthy.report import payback
from tuneworthy.report.html import render
from tuneworthy.runs import RunRecord
from tuneworthy.usecase import Value


def with_money(value: Value) -> RunRecord:
    gain = Interval(value=0.2, low=0.1, high=0.3)
    lora = Alternative("lora", "prompt", gain, 200, estimate(3_000, "EUR", "x"), estimate(100, "EUR/month", "x"))
    loses = Alternative("rag", "prompt", Interval(value=-0.2, low=-0.3, high=-0.1), 200, lora.once, lora.monthly)
    money = break_even([lora, loses], value, seed=0)
    return sample().model_copy(update={"money": money.model_dump(mode="json")})


def test_the_page_says_when_a_lever_pays() -> None:
    page = render(with_money(Value(right_answer_eur=0.4, volume_per_month=6_000)))
    assert "When it pays" in page
    assert "20,000 draws" in page.replace("\u202f", ",")
    assert "100.0\u202f%" in page
    assert ">never<" in page


def test_without_a_value_the_page_says_what_to_measure() -> None:
    assert "value.right_answer_eur" in render(with_money(Value()))


def test_a_record_of_an_older_version_has_no_sum() -> None:
    assert "not measured" in render(sample())


def test_the_page_lists_the_duties() -> None:
    held = Licence(
        answer="allowed with duties",
        links=(Link(name="<b>m</b>", role="model", licence="llama3.1", found_in="LICENSE", answer="allowed"),),
        duties=(Duty(kind="display", text="show “Built with Llama”", value="Built with Llama", by="llama3.1"),),
    )
    page = render(sample().model_copy(update={"licence": held.model_dump(mode="json")}))
    assert "Built with Llama" in page
    assert "<b>m</b>" not in page


def test_the_charts_show_what_pays_and_what_it_depends_on() -> None:
    page = render(with_money(Value(right_answer_eur=0.4, volume_per_month=6_000)))
    assert "What each lever brings." in page
    assert "value of a right answer" in page
    assert "lora over prompt" in page


def test_the_numbers_behind_the_charts_are_those_of_the_record() -> None:
    held = BreakEven.model_validate(with_money(Value(right_answer_eur=0.4, volume_per_month=6_000)).money)
    drawn = payback.net(held)
    assert drawn is not None
    assert [row["value"] for row in drawn.rows] == [p.net.value for p in held.paybacks]
    tornado = payback.tornado(held.paybacks[0], held.horizon)
    assert [row["name"] for row in tornado.rows] == [swing.name for swing in held.paybacks[0].swings]
    assert tornado.svg() == payback.tornado(held.paybacks[0], held.horizon).svg()
