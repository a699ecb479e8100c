"""Personal data and secrets: what has a fixed form, confirmed by a checksum where the form has one.

It does not look for names of people, addresses, places, employers, dates of birth, or anything that only its meaning
makes personal: no pattern can. Values are shown masked.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tuneworthy.data.findings import Batch, Finding, Found, NotMeasured, RowWise, Seen, leaves, many
from tuneworthy.usecase import UseCase

NOT_LOOKED_FOR = (
    "names, addresses, places, employers, dates of birth, licence plates, and whatever only meaning makes personal"
)


@dataclass(frozen=True)
class Hit:
    """One value in a text."""

    kind: str
    start: int
    end: int
    text: str

    @property
    def masked(self) -> str:
        """First and last character, and how long it is."""
        return f"{self.text[0]}…{self.text[-1]} ({len(self.text)} characters)"


def find(text: str) -> list[Hit]:
    """All hits, from left to right; where two overlap, the one whose kind is checked more strictly."""
    taken: list[Hit] = []
    if not _ANY.search(text):
        return taken
    for kind, pattern, valid in _KINDS:
        for match in pattern.finditer(text):
            start, end = match.span()
            if valid(match.group()) and not any(hit.start < end and start < hit.end for hit in taken):
                taken.append(Hit(kind, start, end, match.group()))
    return sorted((hit for hit in taken if hit.kind != "date"), key=lambda hit: hit.start)


def check(batch: Batch) -> Found:
    """One finding per kind."""
    yield from ROW_WISE(batch)
    yield NotMeasured(check="personal_data", what=NOT_LOOKED_FOR, reason="they have no fixed form")


def _look(batch: Batch) -> dict[str, list[Seen]]:
    found: dict[str, list[Seen]] = defaultdict(list)
    for number, example in enumerate(batch.examples):
        texts = [str(value) for value in example.input.values() if isinstance(value, str)]
        texts += [value for _, value in leaves(example.expected) if isinstance(value, str)]
        hits: dict[str, list[Hit]] = defaultdict(list)
        for hit in (hit for text in texts for hit in find(text)):
            hits[hit.kind].append(hit)
        for kind, of_kind in hits.items():
            row = batch.ref(number, ", ".join(hit.masked for hit in of_kind))
            found[kind].append(Seen(row=row, values=tuple(hit.text for hit in of_kind)))
    return found


def _tell(usecase: UseCase, rows: int, kind: str, seen: Sequence[Seen]) -> Finding:
    values = {value for one in seen for value in one.values}
    secret = kind == "secret"
    return Finding(
        check="personal_data",
        kind=kind,
        severity="refuse" if secret else "note" if usecase.use.personal_data else "review",
        what=f"{many(len(values), 'value')} of kind {kind.replace('_', ' ')} in {many(len(seen))}",
        why="a key in the data is learnt and can be asked for: revoke it"
        if secret
        else "what is learnt can be repeated to anybody, and cannot be deleted from weights",
        rows=tuple(one.row for one in seen),
        share=round(len(seen) / rows, 6),
        next="tuneworthy data redact",
    )


ROW_WISE = RowWise(_look, _tell)


# --- what counts ---------------------------------------------------------------------------------


def _digits(text: str) -> list[int]:
    return [int(sign) for sign in text if sign.isdecimal()]


def _yes(text: str) -> bool:
    return True


def _iban(text: str) -> bool:
    """ISO 13616: letters as numbers, the first four signs last, remainder 1 modulo 97."""
    plain = re.sub(r"\s", "", text).upper()
    if not 15 <= len(plain) <= 34:
        return False
    return int("".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4])) % 97 == 1


def luhn(text: str) -> bool:
    """ISO/IEC 7812: every second digit from the right doubled; the sum of all digits divides by ten."""
    digits = _digits(text)[::-1]
    return sum(d if i % 2 == 0 else sum(divmod(2 * d, 10)) for i, d in enumerate(digits)) % 10 == 0


def _card(text: str) -> bool:
    digits = _digits(text)
    return 12 <= len(digits) <= 19 and len(set(digits)) > 1 and luhn(text)


def _address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return text.count(":") != 1 and len(text) > 3


def _de_tax(text: str) -> bool:
    """Steueridentifikationsnummer, ISO 7064 MOD 11,10; of the first ten digits one stands twice or three times."""
    digits = _digits(text)
    counts = sorted(Counter(digits[:10]).values())
    if len(digits) != 11 or digits[0] == 0 or counts[-1] not in (2, 3) or counts.count(1) < 7:
        return False
    product = 10
    for digit in digits[:10]:
        product = 2 * ((digit + product) % 10 or 10) % 11
    return (11 - product) % 10 == digits[10]


def _de_social(text: str) -> bool:
    """Rentenversicherungsnummer: area, date of birth, letter, serial, check digit (VKVV, weights 2 1 2 5 7 1 2 1 …)."""
    plain = text.replace(" ", "").upper()
    day, month = int(plain[2:4]), int(plain[4:6])
    if not 1 <= day <= 31 or not 1 <= month <= 12:
        return False
    digits = _digits(f"{plain[:8]}{ord(plain[8]) - 64:02d}{plain[9:11]}")
    weights = (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1)
    return sum(sum(divmod(d * w, 10)) for d, w in zip(digits, weights, strict=True)) % 10 == int(plain[11])


def _fr_social(text: str) -> bool:
    """Numéro de sécurité sociale: key = 97 - number modulo 97; Corsica's 2A and 2B count as 19 and 18."""
    plain = re.sub(r"[\s.]", "", text).upper().replace("2A", "19").replace("2B", "18")
    return len(plain) == 15 and plain.isdigit() and int(plain[13:]) == 97 - int(plain[:13]) % 97


def _fr_tax(text: str) -> bool:
    """Numéro fiscal (SPI): ten digits and their remainder modulo 511."""
    plain = text.replace(" ", "")
    return int(plain[:10]) % 511 == int(plain[10:]) and len(set(plain)) > 2


def _es_tax(text: str) -> bool:
    """DNI and NIE: the letter is the number modulo 23."""
    plain = re.sub(r"[\s.-]", "", text).upper()
    number = plain[:-1].replace("X", "0").replace("Y", "1").replace("Z", "2")
    return number.isdigit() and "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == plain[-1]


def _es_social(text: str) -> bool:
    """Número de la Seguridad Social: the last two digits are the rest modulo 97."""
    digits = "".join(map(str, _digits(text)))
    province, body = digits[:2], digits[2:10]
    number = int(province + (body[1:] if body[0] == "0" else body))
    return len(digits) == 12 and 1 <= int(province) <= 66 and number % 97 == int(digits[10:])


_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        map(
            int, "1 0 5 7 9 13 15 17 19 21 1 0 5 7 9 13 15 17 19 21 2 4 18 20 11 3 6 8 12 14 16 10 22 25 24 23".split()
        ),
        strict=True,
    )
)


def _it_tax(text: str) -> bool:
    """Codice fiscale: values of odd and even places, modulo 26 (D.M. 23 December 1976)."""
    plain = text.upper()
    even = sum(int(sign) if sign.isdigit() else ord(sign) - 65 for sign in plain[1:15:2])
    return chr(65 + (even + sum(_ODD[sign] for sign in plain[0:15:2])) % 26) == plain[15]


def _uk_social(text: str) -> bool:
    """National Insurance number: prefixes that are not given out."""
    prefix = text[:2].upper()
    return prefix not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")


def _uk_health(text: str) -> bool:
    """NHS number: weights 10 … 2, modulo 11."""
    digits = _digits(text)
    rest = 11 - sum(d * w for d, w in zip(digits, range(10, 1, -1), strict=False)) % 11
    return len(digits) == 10 and rest % 11 == digits[9] and rest != 10


def _us_social(text: str) -> bool:
    """Social Security number: areas, groups and serials that are not given out."""
    area, group, serial = re.split(r"[- ]", text)
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def _phone(text: str) -> bool:
    digits = _digits(text)
    return 7 <= len(digits) <= 15 and len(set(digits)) > 2


_B, _E = r"(?<![\w.+-])", r"(?![\w-])"
_KINDS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
    (
        "secret",
        re.compile(
            r"\b(?:sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|AKIA[0-9A-Z]{16}|xox[abprs]-[A-Za-z0-9-]{10,}"
            r"|AIza[0-9A-Za-z_-]{35})(?![\w-])|-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----"
        ),
        _yes,
    ),
    (
        "e-mail",
        re.compile(r"(?<![\w.+-])[\w+-]+(?:\.[\w+-]+)*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,24}(?![\w-])"),
        _yes,
    ),
    (
        "iban",
        re.compile(rf"{_B}[A-Za-z]{{2}}\d{{2}}(?:[ ]?[A-Za-z0-9]{{4}}){{2,7}}(?:[ ]?[A-Za-z0-9]{{1,3}})?{_E}"),
        _iban,
    ),
    (
        "italian_tax_number",
        re.compile(rf"{_B}[A-Za-z]{{6}}\d{{2}}[A-EHLMPR-Ta-ehlmpr-t]\d{{2}}[A-Za-z]\d{{3}}[A-Za-z]{_E}"),
        _it_tax,
    ),
    ("german_social_number", re.compile(rf"{_B}\d{{2}} ?\d{{6}} ?[A-Za-z] ?\d{{3}}{_E}"), _de_social),
    (
        "french_social_number",
        re.compile(
            rf"{_B}[12][ .]?\d{{2}}[ .]?(?:0[1-9]|1[0-2]|[2-9]\d)[ .]?(?:\d{{2}}|2[ABab])"
            rf"[ .]?\d{{3}}[ .]?\d{{3}}[ .]?\d{{2}}{_E}"
        ),
        _fr_social,
    ),
    ("card", re.compile(rf"{_B}\d(?:[ -]?\d){{11,18}}{_E}"), _card),
    ("german_tax_number", re.compile(rf"{_B}\d{{2}} ?\d{{3}} ?\d{{3}} ?\d{{3}}{_E}"), _de_tax),
    ("french_tax_number", re.compile(rf"{_B}[0-3]\d ?\d{{2}} ?\d{{3}} ?\d{{3}} ?\d{{3}}{_E}"), _fr_tax),
    ("spanish_social_number", re.compile(rf"{_B}\d{{2}}[ /-]\d{{8}}[ /-]\d{{2}}{_E}"), _es_social),
    (
        "spanish_tax_number",
        re.compile(rf"{_B}(?:\d{{8}}|\d{{2}}\.\d{{3}}\.\d{{3}}|[XYZxyz]-?\d{{7}})-?[A-Za-z]{_E}"),
        _es_tax,
    ),
    (
        "uk_social_number",
        re.compile(rf"{_B}(?![DFIQUV])[A-CEGHJ-PR-TW-Z](?![DFIQUVO])[A-Z] ?\d{{2}} ?\d{{2}} ?\d{{2}} ?[A-D]{_E}"),
        _uk_social,
    ),
    ("us_social_number", re.compile(rf"{_B}\d{{3}}-\d{{2}}-\d{{4}}{_E}|{_B}\d{{3}} \d{{2}} \d{{4}}{_E}"), _us_social),
    ("uk_health_number", re.compile(rf"{_B}\d{{3}} \d{{3}} \d{{4}}{_E}"), _uk_health),
    (
        "ip_address",
        re.compile(
            r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}(?!\.?\d)|(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4})(?![\w:])"
        ),
        _address,
    ),
    (
        "date",  # looks like a telephone number and is none
        re.compile(
            r"(?<![\w.+-])(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|(?:19|20)\d{2}\s?[-–]\s?(?:19|20)\d{2})(?![\w-]|[.]\d)"
        ),
        _yes,
    ),
    (
        "phone",
        re.compile(
            r"(?<![\w.,#/-])(?<!\d )(?:"
            r"\+\d{1,3}[ .-]?(?:\(0?\)[ ]?)?\(?\d{1,5}\)?(?:[ ./-]?\d{2,4}){1,5}"
            r"|00[1-9]\d{0,2}[ .-]\d{1,4}(?:[ ./-]\d{2,4}){1,4}"
            r"|\(\d{2,5}\)[ .-]?\d{2,4}(?:[ .-]?\d{2,4}){0,3}"
            r"|0\d{2,5}[ /-]\d{3,8}(?:[ -]\d{2,5}){0,3}"
            r"|0[1-9]\d{0,3}(?:[ .-]\d{2,3}){2,4}"
            r"|(?:(?<=[Pp]hone: )|(?<=[Pp]hone:\n)|(?<=[Tt]el[:.] )|(?<=[Ff]ax: )|(?<= me at )|(?<= me on )"
            r"|(?<=[Mm]obile: ))\d{2,4}(?:[ .-]\d{2,4}){1,4}"
            r"|(?:1[ .-])?[2-9]\d{2}[-. ][2-9]\d{2}[-. ]\d{4}(?:\s?x\d{1,5})?"
            r"|[6789]\d{2}[ ]\d{2,3}[ ]\d{2}[ ]?\d{1,2}"
            r"|\d{3}-\d{4}"
            r")(?:x\d{1,5})?(?![\w]|[.,]\d|-\d)"
        ),
        _phone,
    ),
)
"""Kind, form, and what confirms it: the strictest first."""

_ANY = re.compile(
    r"\d[\d .\-/()]{2,}\d|@|[:]{2}|(?:[0-9a-fA-F]:){2}|sk-|gh[pousr]_|xox|AKIA|AIza|PRIVATE KEY|[A-Za-z]{2}\d"
)
"""Most texts hold none of this, and are not looked at more closely."""


def redacted(text: str, replace: Callable[[Hit], str]) -> str:
    """The text with each hit replaced."""
    return "".join(_pieces(text, replace))


def _pieces(text: str, replace: Callable[[Hit], str]) -> Iterator[str]:
    end = 0
    for hit in find(text):
        yield text[end : hit.start]
        yield replace(hit)
        end = hit.end
    yield text[end:]
