"""The day of dates as people and recorders write them, so that each minute is not a value of its own.

Read are ``2024-06-01T05:30``, ``2024/6/1``, ``20240601_053000``, ``01/06/2024 05:30``, ``01.06.24`` and ``1 Jun 2024``, the time of day before or after
the date. Whether the day or the month comes first is seen from the other dates of the column, where one of them has a part above 12; else the day
is taken to be first: two windows of one day are of one day either way. Of what can't be read as a date only the time of day is dropped.
"""

import re
from collections.abc import Sequence
from datetime import date
from typing import Any

__all__ = ["days_of"]

_TIME = re.compile(r"[ T_,;]*\b\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?\s*([AaPp]\.?[Mm]\.?)?\s*(Z|UTC|[+-]\d{2}:?\d{2})?(?!\w)|T\d{1,2}:\S*")
_YEAR_FIRST = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?!\d)")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:\d{6})?(?!\d)")
_YEAR_LAST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d{2})(?!\d)")
_NAMED = re.compile(r"(?:(\d{1,2})[ .-]*([A-Za-z]{3})[a-z]*|([A-Za-z]{3})[a-z]*[ .-]*(\d{1,2}))[ ,.-]+(\d{4})(?!\d)")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def days_of(values: Sequence[Any]) -> list[Any]:
    """For each value the number of its day; where it is no date, the value, of a text without its time of day.

    Parameters
    ----------
    values
        Dates, texts, numbers such as 20240601, or None.
    """
    texts = [None if value is None or hasattr(value, "toordinal") else _without_time(str(value)) for value in values]
    parts = [found for text in texts if text is not None and (found := _YEAR_LAST.match(text))]
    month_first = any(int(found[3]) > 12 for found in parts) and not any(int(found[1]) > 12 for found in parts)
    return [_day(value, text, month_first) for value, text in zip(values, texts, strict=True)]


def _without_time(text: str) -> str:
    return _TIME.sub("", text).strip() or text


def _day(value: Any, text: str | None, month_first: bool) -> Any:
    if text is None:
        return value if value is None else value.toordinal()
    read = _read(text, month_first)
    if read is None:
        return text if isinstance(value, str) else value
    try:
        return date(*read).toordinal()
    except ValueError:
        return text if isinstance(value, str) else value


def _read(text: str, month_first: bool) -> tuple[int, int, int] | None:
    """Year, month and day, which may be none of the calendar's."""
    if found := _YEAR_FIRST.match(text):
        return int(found[1]), int(found[3]), int(found[4])
    if found := _COMPACT.match(text):
        return int(found[1]), int(found[2]), int(found[3])
    if found := _YEAR_LAST.match(text):
        first, second, year = int(found[1]), int(found[3]), int(found[4])
        day, month = (second, first) if month_first else (first, second)
        return year if year > 99 else 2000 + year, month, day
    found = _NAMED.match(text)
    if found and (name := (found[2] or found[3]).casefold()) in _MONTHS:
        return int(found[5]), _MONTHS.index(name) + 1, int(found[1] or found[4])
    return None
