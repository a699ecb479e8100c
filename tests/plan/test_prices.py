import contextlib
import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneworthy.errors import DataError
from tuneworthy.plan import prices

TODAY = dt.date(2026, 11, 25)
SHIPPED = prices.load(None, today=TODAY)


def written(folder: Path, text: str) -> Path:
    (folder / "prices.toml").write_text(text, "utf-8")
    return folder


def test_the_cheapest_offer_in_the_eu_comes_first() -> None:
    found = SHIPPED.offers_for("h100", region="EU", privacy="eu_cloud")
    hours = [SHIPPED.hourly(offer).value for offer in found]
    assert hours == sorted(hours)
    assert {offer.region for offer in found} == {"EU"}


def test_nothing_is_rented_on_premises() -> None:
    assert SHIPPED.offers_for("h100", region="EU", privacy="on_premises") == ()


def test_a_price_for_eight_gpus_is_told_for_one() -> None:
    offer = next(o for o in SHIPPED.offers if o.id == "aws-h100")
    assert SHIPPED.hourly(offer).value == pytest.approx(98.32 / 8 * 0.9605)


def test_a_price_by_the_month_is_told_by_the_hour() -> None:
    offer = next(o for o in SHIPPED.offers if o.per == "month")
    assert SHIPPED.hourly(offer).value == pytest.approx(184 / 730)


def test_the_range_of_the_exchange_rate_goes_along() -> None:
    offer = next(o for o in SHIPPED.offers if o.id == "verda-h100")
    hourly = SHIPPED.hourly(offer)
    assert hourly.low == pytest.approx(1.99 * 0.8573)
    assert hourly.date == dt.date(2025, 2, 28)


def test_ones_own_price_wins(tmp_path: Path) -> None:
    own = OFFER.replace('"x"', '"ours"').replace("l4", "h100").replace("1.0", "9.0")
    found = prices.load(written(tmp_path, f"[[offer]]\n{own}"), today=TODAY)
    first = found.offers_for("h100", region="EU")[0]
    assert first.id == "ours"
    assert found.hourly(first).basis == "stated by the user"


def test_an_assumption_is_replaced(tmp_path: Path) -> None:
    found = prices.load(written(tmp_path, "[rate]\nvalue = 80\n"), today=TODAY).assumed("rate")
    assert (found.value, found.low, found.high, found.basis) == (80, 80, 80, "stated by the user")


OFFER = 'id = "x"\nprovider = "p"\ngpu = "l4"\nprice = 1.0\ncurrency = "EUR"\nregion = "EU"\ndate = 2026-11-01\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[offer]]\n" + OFFER.replace("EUR", "XXX"), "no exchange rate"),
        ("[[offer]]\n" + OFFER.replace("EUR", "euro"), "currency"),
        ("[[offer]]\n" + OFFER.replace("2026-11-01", "2027-01-01"), "future"),
        ("[[offer]]\n" + OFFER.replace("2026-11-01", '"yesterday"'), "date"),
        ("[[offer]]\n" + OFFER.replace("date = 2026-11-01\n", ""), "date"),
        ("[[offer]]\n" + OFFER.replace("1.0", "-1.0"), "price"),
        ("[[offer]]\n" + OFFER.replace("1.0", "nan"), "price"),
        ("[[offer]]\n" + OFFER.replace("1.0", "0"), "price"),
        ("[[offer]]\n" + OFFER + "colour = 'red'\n", "colour"),
        ("[[exchange]]\nid = 'GBP'\neur = -1\ndate = 2026-11-01\n", "eur"),
        ("[[exchange]]\nid = 'GBP'\neur = 1.2\nlow = 1.3\ndate = 2026-11-01\n", "does not hold"),
        ("[rate]\nvalue = -3\n", "rate.value"),
        ("[rate]\nvalue = 3\nlow = 99\n", "does not hold"),
        ("[rate]\nlow = 99\n", "rate.value"),
        ("[rates]\nvalue = 3\n", "did you mean 'rate'"),
        ("[rate\n", "cannot be read"),
    ],
)
def test_a_wrong_price_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(DataError, match=r"(?s)prices\.toml") as refused:
        prices.load(written(tmp_path, text), today=TODAY)
    assert told in str(refused.value)


def test_old_and_doubtful_prices_are_told() -> None:
    offer = next(o for o in SHIPPED.offers if o.id == "modal-l4")
    told = " ".join(SHIPPED.warnings([offer]))
    assert "older than 90 days" in told
    assert "not verified" in told


def test_fresh_prices_are_not_told() -> None:
    offer = next(o for o in SHIPPED.offers if o.id == "verda-h100")
    assert SHIPPED.warnings([offer]) == ()


@settings(deadline=None)
@given(
    st.text(max_size=120) | st.sampled_from(["rate = 1", "[offer]\n", "offer = 3", "[[offer]]\n", "[[rate]]\nvalue=1"])
)
def test_no_price_file_ends_in_another_error(tmp_path_factory, text: str) -> None:
    folder = tmp_path_factory.mktemp("prices")
    with contextlib.suppress(DataError):
        assert prices.load(written(folder, text), today=TODAY).offers


def test_tokens_cost_what_the_user_says_and_nothing_where_they_say_nothing(tmp_path):
    today = dt.date(2026, 11, 25)
    assert prices.token_price(tmp_path, "mistral-small", today=today) is None
    (tmp_path / "prices.toml").write_text(
        '[[api]]\nid = "house-model"\ntier = "small"\nprice_in = 0.5\nprice_out = 2.0\ncurrency = "EUR"\n'
        "date = 2026-11-01\n"
    )
    found = prices.token_price(tmp_path, "house-model", today=today)
    assert (found.eur_in, found.eur_out) == (0.5, 2.0)
    assert prices.token_price(tmp_path, "mistral-small", today=today) is None
