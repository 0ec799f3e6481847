"""The diagnosis in words, for the terminal and the page: what a check is called, what it looked at, and its evidence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from callspace.evaluation.diagnosis import Finding, worst_first
from callspace.report.words import background_name, capital, count, listed, regime_name, short

__all__ = ["VERDICTS", "Shown", "check_name", "evidence_rows", "evidence_tables", "shown", "subject_name", "tally", "value_text"]

#: A verdict in words.
VERDICTS = {"problem": "problem", "look": "worth a look", "unmeasured": "not measured", "fine": "fine"}

_CHECKS = {
    "leakage": "the test heard in training",
    "overlap": "heard in pretraining",
    "confounds": "confounds",
    "collapse": "collapse",
    "hubs": "hubs",
    "label_errors": "label errors",
    "confusions": "classes confused",
    "band": "frequencies not heard",
    "invariance": "invariance",
    "layers": "layers",
    "training_curves": "training curves",
}
_ROWS = 40
_IN_A_LINE = 8
_UNITS = {"hz": " Hz", "s": " s", "db": " dB"}
_LEAST = 1e-3


@dataclass(frozen=True)
class Shown:
    """Findings that say the same of several encoders, as one.

    Attributes
    ----------
    finding : Finding
        The first of them.
    about : str
        What they are about, in words; empty for the data themselves.
    """

    finding: Finding
    about: str

    @property
    def title(self) -> str:
        """The check, and what it looked at."""
        return capital(check_name(self.finding.check)) + (f" · {self.about}" if self.about else "")


def shown(findings: Sequence[Finding]) -> list[Shown]:
    """The findings, the gravest first, those of one sentence together; what could not be measured, also where they differ in the name alone."""
    together: dict[tuple[str, ...], list[Finding]] = {}
    for finding in worst_first(findings):
        together.setdefault((finding.check, finding.verdict, _alike(finding), finding.remedy), []).append(finding)
    return [_shown(own) for own in together.values()]


def _shown(own: Sequence[Finding]) -> Shown:
    about = listed(list(dict.fromkeys(filter(None, map(subject_name, own)))))
    first = own[0]
    if any(finding.sentence != first.sentence for finding in own):
        first = replace(first, sentence=capital(_alike(first)))
    return Shown(first, about)


def _alike(finding: Finding) -> str:
    """What several encoders' findings have in common: of those that measured nothing, the sentence without the encoder's name."""
    encoder = finding.subject.get("encoder")
    if finding.verdict != "unmeasured" or not encoder:
        return finding.sentence
    return re.sub(rf"(?<!\w)'?{re.escape(str(encoder))}'?(?![\w-])", "the encoder", finding.sentence)


def tally(findings: Sequence[Finding]) -> str:
    """``1 problem and 2 things worth a look; 3 things could not be measured, and 40 are fine``; findings that say the same count as one."""
    if not findings:
        return ""
    each = [one.finding.verdict for one in shown(findings)]
    problems, looks, unmeasured, fine = (each.count(verdict) for verdict in ("problem", "look", "unmeasured", "fine"))
    grave = [count(problems, "problem", "problems")] if problems else []
    grave += [count(looks, "thing worth a look", "things worth a look")] if looks else []
    rest = [f"{count(unmeasured, 'thing', 'things')} could not be measured"] if unmeasured else []
    rest += [f"{fine:,} {'is' if fine == 1 else 'are'} fine"] if fine else []
    return "; ".join(filter(None, (" and ".join(grave) or "no problem", ", and ".join(rest))))


def check_name(check: str) -> str:
    """What a check is called."""
    return _CHECKS.get(check, check.replace("_", " "))


def subject_name(finding: Finding) -> str:
    """``yamnet``; ``yamnet, full fine-tuning, 10 % of the background``."""
    subject = finding.subject
    parts = [short(str(subject["encoder"]))] if subject.get("encoder") else []
    if (regime := subject.get("regime")) and regime != "frozen":
        parts.append(regime_name(regime))
        policy = subject.get("policy") or "share"
        if subject.get("background") is not None and (subject["background"], policy) != (1.0, "share"):
            parts.append(background_name(subject["background"], policy))
    if folds := subject.get("folds"):
        parts.append(f"{folds} folds together")
    return ", ".join(parts)


def evidence_rows(evidence: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The numbers of a finding, each with its interval, as pairs of a name and a text; what is longer is in `evidence_tables`."""
    rows = []
    for key, value in evidence.items():
        if key.endswith(("_ci", "_interval")):
            continue
        name, _, last = key.rpartition("_")
        unit = _UNITS.get(last, "") if name else ""
        if text := _text(value, evidence.get(f"{key}_ci", evidence.get(f"{key}_interval"))):
            rows.append(((name if unit else key).replace("_", " "), text + unit))
    return rows


def _text(value: Any, ends: Any) -> str:
    """A number with its interval, or a few of them in a line; nothing for what is absent or longer."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        if "value" in value:
            return _text(value["value"], value.get("interval", value.get("ci")))
        flat = all(not isinstance(item, Mapping | list) for item in value.values())
        return ", ".join(f"{name.replace('_', ' ')} {value_text(item)}" for name, item in value.items()) if flat else ""
    if isinstance(value, list):
        simple = len(value) <= _IN_A_LINE and all(isinstance(item, str | int | float) for item in value)
        return ", ".join(value_text(item) for item in value) if simple else ""
    return value_text(value) + (f" ({value_text(ends[0])} to {value_text(ends[1])})" if ends and None not in ends else "")


def evidence_tables(evidence: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What of the evidence is a table: a list of rows, or rows by name. Each has ``title``, ``columns`` and ``rows`` of texts."""
    tables = []
    for key, value in evidence.items():
        rows: list[Mapping[str, Any]] = []
        if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            rows = value
        elif isinstance(value, Mapping) and value and all(isinstance(item, Mapping) and "value" not in item for item in value.values()):
            rows = [{"": name} | dict(item) for name, item in value.items()]
        if not rows:
            continue
        columns = list(dict.fromkeys(name for row in rows for name in row if not isinstance(row[name], Mapping)))
        title = key.replace("_", " ") + (f" (the first {_ROWS} of {len(rows):,})" if len(rows) > _ROWS else "")
        tables.append(
            {
                "title": title,
                "columns": [name.replace("_ci", " 95 %").replace("_", " ") for name in columns],
                "rows": [[value_text(row.get(name)) for name in columns] for row in rows[:_ROWS]],
            }
        )
    return tables


def value_text(value: Any) -> str:
    """A number to three digits with a true minus sign (``under 0.001`` for less), an interval as ``a to b``, a dash for nothing."""
    if value is None or isinstance(value, bool):
        return {None: "–", True: "yes", False: "no"}[value]
    if isinstance(value, int | float):
        return _number_text(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        two = len(value) == 2 and all(isinstance(item, int | float) for item in value)
        return (" to " if two else ", ").join(value_text(item) for item in value)
    return str(value)


def _number_text(value: float) -> str:
    if 0 < abs(value) < _LEAST:
        return f"under {_LEAST:g}" if value > 0 else f"over −{_LEAST:g}"
    whole = isinstance(value, int) or abs(value) >= 1000
    return (f"{value:,.0f}" if whole else f"{value:.3g}").replace("-", "−")
