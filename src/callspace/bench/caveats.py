"""The problems that a diagnosis found of a choice, among the caveats of ``choice.json``: first by the bench, then by each later diagnosis."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from callspace.evaluation.diagnosis.finding import Finding

__all__ = ["with_problems"]

#: Problems that are caveats, at most.
_MOST = 3
_FOUND = "The diagnosis found a problem: "
_MORE = re.compile(r"It found \d+ more: `callspace diagnose RUN` shows (it|them)\.")


def with_problems(choice: Mapping[str, Any], findings: Sequence[Finding]) -> dict[str, Any]:
    """A choice whose caveats are its own and what the findings call a problem of the data or of the chosen encoder.

    Parameters
    ----------
    choice
        What ``choice.json`` holds; caveats of an earlier diagnosis go.
    findings
        Of a diagnosis of the same run.

    Returns
    -------
    The same choice, of whose problems the first few are told, and how many more there are.
    """
    own = [caveat for caveat in choice.get("caveats", []) if not caveat.startswith(_FOUND) and not _MORE.fullmatch(caveat)]
    told = dict.fromkeys(
        finding.sentence
        for finding in findings
        if finding.verdict == "problem" and choice.get("encoder") and _is_of(finding.subject, choice)
    )
    problems = [f"{_FOUND}{sentence}" for sentence in list(told)[:_MOST]]
    if (more := len(told) - len(problems)) > 0:
        problems.append(f"It found {more} more: `callspace diagnose RUN` shows {'it' if more == 1 else 'them'}.")
    return {**choice, "caveats": list(dict.fromkeys([*own, *problems]))}


def _is_of(subject: Mapping[str, Any], choice: Mapping[str, Any]) -> bool:
    """Whether a finding is of the data as a whole, or of the chosen encoder, frozen or as it was chosen."""
    if any(subject.get(name) not in (None, choice[name]) for name in ("encoder", "layer", "pool")):
        return False
    if subject.get("regime") in (None, "frozen"):
        return True
    return all(subject.get(name) in (None, choice.get(name)) for name in ("regime", "background", "policy"))
