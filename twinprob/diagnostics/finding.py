"""One check of a twin: what was looked at, how it stands, and what to do."""

from dataclasses import dataclass

GOOD, CARE, REFUSE = "trustworthy", "use with care", "do not use"
ORDER = (GOOD, CARE, REFUSE)


@dataclass(frozen=True)
class Finding:
    """One check: what was looked at, the verdict, the evidence in numbers, and one action where it is not good."""

    subject: str
    verdict: str
    evidence: str
    action: str = ""
