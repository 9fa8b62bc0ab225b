"""A recommendation for other programs: JSON with a schema, FHIR R4B resources, a CDS Hooks card.

Nothing here acts: proposals are drafts, no option is marked as the recommended one, and an abstention says its reason.
"""

import json
import math
from typing import Any

from ..decisions.recommendation import MEASURE_FIRST, NOTICE, Option, Recommendation
from ..forecasting.risk import Risk

__all__ = ["RECOMMENDATION_SCHEMA", "cds_hooks", "fhir_bundle", "recommendation_json"]

FORMAT = "twinprob.recommendation/1"
_SUMMARY = 139  # characters; CDS Hooks wants fewer than 140
_UCUM = "http://unitsofmeasure.org"
_OVERRIDES = (
    ("other-treatment", "Another treatment is under way or planned"),
    ("twin-doubted", "The twin does not fit this patient"),
    ("measured-since", "Something was measured that the twin does not know"),
    ("goal-differs", "The goal or the limits are others for this patient"),
)

_NUMBER = {"type": ["number", "null"]}
RECOMMENDATION_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": FORMAT,
    "type": "object",
    "required": [
        "format", "notice", "abstains", "reasons", "goal", "limits", "hours", "draws", "effective_draws", "options",
    ],
    "properties": {
        "format": {"const": FORMAT},
        "notice": {"type": "string"},
        "abstains": {"type": "boolean"},
        "headline": {"type": "string"},
        "reasons": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["what", "evidence", "action"],
                "properties": {name: {"type": "string"} for name in ("what", "evidence", "action")},
            },
        },
        "caveats": {"type": "array", "items": {"type": "string"}},
        "effects": {"type": "array", "items": {"type": "string"}},
        "goal": {"type": "object", "required": ["output", "band", "below", "above"]},
        "limits": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["event", "most"],
                "properties": {"event": {"type": "string"}, "most": {"type": "number", "minimum": 0, "maximum": 1}},
            },
        },
        "hours": {"type": "number", "exclusiveMinimum": 0},
        "draws": {"type": "integer"},
        "effective_draws": {"type": "number"},
        "options": {
            "type": "array",
            "minItems": 2,
            "items": {
                "type": "object",
                "required": ["name", "rank", "feasible", "why", "risks", "cost", "cost_mcse"],
                "properties": {
                    "name": {"type": "string"},
                    "rank": {"type": ["integer", "null"]},
                    "feasible": {"type": "boolean"},
                    "why": {"type": "string"},
                    "cost": _NUMBER,
                    "cost_mcse": _NUMBER,
                    "draws": {"type": "integer"},
                    "failed": {"type": "integer"},
                    "risks": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["event", "probability", "mcse", "low", "high", "draws", "effective_draws"],
                            "properties": {
                                "event": {"type": "string"},
                                **dict.fromkeys(("probability", "mcse", "low", "high", "tail"), _NUMBER),
                            },
                        },
                    },
                },
            },
        },
    },
}  # fmt: skip


def recommendation_json(recommendation: Recommendation) -> str:
    """Write a recommendation as JSON text of the form `RECOMMENDATION_SCHEMA`.

    Parameters
    ----------
    recommendation : Recommendation

    Returns
    -------
    str
        Numbers that are not known are null.
    """
    one = recommendation
    content = {
        "format": FORMAT,
        "notice": NOTICE,
        "abstains": one.abstains,
        "headline": one.headline,
        "reasons": [{"what": r.what, "evidence": r.evidence, "action": r.action} for r in one.reasons],
        "caveats": list(one.caveats),
        "effects": [str(effect) for effect in one.effects],
        "goal": {"output": one.goal.output, "band": one.goal.band, "below": one.goal.below, "above": one.goal.above},
        "limits": [{"event": event, "most": most} for event, most in one.limits],
        "hours": one.hours,
        "draws": one.draws,
        "effective_draws": one.effective_draws,
        "options": [_option(option) for option in one.options],
    }
    return json.dumps(content, ensure_ascii=False, allow_nan=False)


def _option(option: Option) -> dict[str, Any]:
    risks = []
    for risk, tail in zip(option.risks, option.tails, strict=True):
        low, high = _interval(risk)
        risks.append({"event": risk.event, "probability": _known(risk.probability), "mcse": _known(risk.mcse),
                      "low": _known(low), "high": _known(high), "tail": _known(tail), "draws": risk.draws,
                      "effective_draws": risk.effective_draws})  # fmt: skip
    told = ("name", "rank", "feasible", "why", "draws", "failed")
    costs = {name: _known(getattr(option, name)) for name in ("cost", "cost_mcse")}
    return {**{name: getattr(option, name) for name in told}, **costs, "risks": risks}


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _interval(risk: Risk) -> tuple[float, float]:
    """Return where the probability lies, by two Monte Carlo errors, or by the limit where no draw shows it."""
    low, high = max(0.0, risk.probability - 2.0 * risk.mcse), min(1.0, risk.probability + 2.0 * risk.mcse)
    if risk.probability == 0.0:
        return 0.0, max(high, risk.bound)
    return (min(low, 1.0 - risk.bound), 1.0) if risk.probability == 1.0 else (low, high)


# ---- FHIR ------------------------------------------------------------------------------------------------------------


def fhir_bundle(recommendation: Recommendation, *, subject: str = "Patient/unknown") -> dict[str, Any]:
    """Return FHIR R4B resources: a risk assessment for every option looked at, and drafts of those that are offered.

    Parameters
    ----------
    recommendation : Recommendation
    subject : str
        Reference to the patient in the receiving system.

    Returns
    -------
    dict
        A `Bundle` of type collection: `RiskAssessment` with `probabilityRange` (two Monte Carlo errors on each side),
        and for each option offered a `CarePlan` of status draft and intent option, never active. An abstention holds
        a `GuidanceResponse` of status data-required with its reasons instead of plans.

    Raises
    ------
    ValueError
        If `subject` is no reference of the form ``Patient/…``.
    """
    if not (isinstance(subject, str) and subject.startswith("Patient/") and len(subject) > len("Patient/")):
        raise ValueError(f"Argument `subject` must be a reference such as 'Patient/123', but is {subject!r}.")
    who = {"reference": subject}
    resources = [_assessment(option, recommendation, who) for option in recommendation.options if option.risks]
    if recommendation.abstains:
        resources.append(
            {
                "resourceType": "GuidanceResponse",
                "moduleUri": "urn:twinprob:recommend",
                "status": "data-required",
                "subject": who,
                "note": [{"text": str(reason)} for reason in recommendation.reasons] + [{"text": NOTICE}],
            }
        )
    resources += [_draft(option, recommendation, who) for option in recommendation.options if option.rank is not None]
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in resources]}


def _assessment(option: Option, recommendation: Recommendation, who: dict[str, str]) -> dict[str, Any]:
    predictions = []
    for risk in option.risks:
        if not math.isfinite(risk.probability):
            continue
        low, high = ({"value": 100.0 * x, "unit": "%", "system": _UCUM, "code": "%"} for x in _interval(risk))
        predictions.append(
            {
                "outcome": {"text": f"{risk.event} within {risk.hours:g} h"},
                "probabilityRange": {"low": low, "high": high},
                "rationale": f"{risk.draws} draws, {risk.failed} more could not be solved.",
            }
        )
    notes = [option.why, *recommendation.caveats, NOTICE]
    return {
        "resourceType": "RiskAssessment",
        "status": "preliminary",
        "method": {"text": "twinprob.recommend: share of posterior draws of a digital twin"},
        "subject": who,
        "prediction": predictions,
        "mitigation": option.name,
        "note": [{"text": text} for text in notes if text],
    }


def _draft(option: Option, recommendation: Recommendation, who: dict[str, str]) -> dict[str, Any]:
    notes = [option.why, *(str(effect) for effect in recommendation.effects), *recommendation.caveats, NOTICE]
    return {
        "resourceType": "CarePlan",
        "status": "draft",
        "intent": "option",
        "title": option.name,
        "description": f"One of several options, rank {option.rank} (ranks may be shared). {recommendation.headline}",
        "subject": who,
        "note": [{"text": text} for text in notes if text],
    }


# ---- CDS Hooks -------------------------------------------------------------------------------------------------------


def cds_hooks(recommendation: Recommendation) -> dict[str, Any]:
    """Return the answer of a CDS Hooks 2.0 service: one card.

    Parameters
    ----------
    recommendation : Recommendation

    Returns
    -------
    dict
        The options are suggestions side by side, none marked as recommended, none with an action: a click changes
        nothing by itself. An abstention is an info card with the reason.
    """
    one = recommendation
    card: dict[str, Any] = {
        "summary": _shortened(one.headline),
        "indicator": "info" if one.abstains else "warning",
        "source": {"label": "twinprob (research software, not a medical device)"},
        "detail": "\n".join(f"- {line.strip()}" for line in str(one).splitlines()[1:]),
    }
    offered = [option for option in one.options if option.rank is not None or option.name == MEASURE_FIRST]
    if not one.abstains:
        card["suggestions"] = [{"label": _shortened(option.name)} for option in offered]
        card["selectionBehavior"] = "at-most-one"
        card["overrideReasons"] = [
            {"code": code, "system": "urn:twinprob:override", "display": words} for code, words in _OVERRIDES
        ]
    return {"cards": [card]}


def _shortened(text: str) -> str:
    return text if len(text) <= _SUMMARY else f"{text[: _SUMMARY - 1].rstrip()}…"
