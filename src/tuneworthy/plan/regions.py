"""Which country belongs to which union."""

from __future__ import annotations

_EU = {
    "AT": "Austria", "BE": "Belgium", "BG": "Bulgaria", "HR": "Croatia", "CY": "Cyprus", "CZ": "Czechia",
    "DK": "Denmark", "EE": "Estonia", "FI": "Finland", "FR": "France", "DE": "Germany", "GR": "Greece",
    "HU": "Hungary", "IE": "Ireland", "IT": "Italy", "LV": "Latvia", "LT": "Lithuania", "LU": "Luxembourg",
    "MT": "Malta", "NL": "Netherlands", "PL": "Poland", "PT": "Portugal", "RO": "Romania", "SK": "Slovakia",
    "SI": "Slovenia", "ES": "Spain", "SE": "Sweden",
}  # fmt: skip
"""https://european-union.europa.eu/principles-countries-history/eu-countries_en, read 2026-11-25"""

_NAMES = {"european union", "europe", "eu", "eea", *map(str.lower, _EU), *map(str.lower, _EU.values())}


def in_region(place: str, region: str) -> bool:
    """Whether a place (`EU`, a country's name or its two-letter code) lies in a region; `Europe` counts as the EU, the
    careful reading."""
    place, region = place.strip().lower(), region.strip().lower()
    return place == region or (region == "eu" and place in _NAMES)
