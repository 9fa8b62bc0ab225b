"""How much glucose is in what a chart names: dextrose solutions, parenteral mixes and feeds.

Charts name products, not contents. Every content here is a **setting recalled from product labels, not published
here**; unknown nutrition is the main source of error of a glucose model on charted data.
"""

from __future__ import annotations

import re

# Dextrose solutions are labeled as monohydrate, 198.17 g/mol: 5 % is 252 mmol/L, the osmolarity printed on the bag.
_DEXTROSE = 10 / 198.17  # mmol/mL for each percent
_CARBOHYDRATE = 1000 / 180.16  # mmol of glucose for each gram of carbohydrate

_NO_GLUCOSE = re.compile(r"dextran(?!.*(d5w|dextrose))|^pd |citrate|^lipid|beneprotein|amino acids?$|^aminosyn")
_PARENTERAL = (
    (re.compile(r"(?:tpn|pn)\s*d\s*(\d+(?:\.\d+)?)"), None),
    (re.compile(r"peripheral parenteral|^ppn"), 7.5),
    (re.compile(r"tpn|\bpn\b"), 15.0),
    (re.compile(r"dextrose\s*(\d+(?:[.,]\d+)?)\s*\.?\s*%"), None),
    (re.compile(r"^(50)%\s?dextrose|^d(50)(?!\.)"), None),
    (re.compile(r"^(?:iv )?d(10|20)"), None),
    (re.compile(r"\bd5|/d5|in d5|d5w"), 5.0),
)
# g of carbohydrate per mL at full strength; the first name found in the label counts.
_FEEDS = {
    "replete": 0.113,
    "promote": 0.130,
    "probalance": 0.156,
    "impact": 0.135,
    "peptamen bariatric": 0.078,
    "peptamen vhp": 0.104,
    "peptamen 1.5": 0.188,
    "peptamen": 0.127,
    "nutren 2.0": 0.196,
    "nutren pulmonary": 0.100,
    "nutren renal": 0.205,
    "nutren": 0.127,
    "novasource renal": 0.190,
    "fibersource": 0.160,
    "isosource 1.5": 0.170,
    "boost glucose control": 0.084,
    "glucerna": 0.096,
    "ensure plus": 0.210,
    "ensure": 0.170,
    "enlive": 0.217,
    "nepro": 0.165,
    "pulmocare": 0.106,
    "two cal": 0.217,
    "vivonex": 0.190,
    "criticare": 0.220,
    "jevity": 0.155,
    "osmolite": 0.145,
    "tube feeding": 0.140,
}
_STRENGTH = re.compile(r"(\d)/(\d)")


def glucose_content(label: str) -> tuple[str, float] | None:
    """Return which input a charted product belongs to and how much glucose it holds.

    Parameters
    ----------
    label : str
        The product's name in the chart, for example ``"Dextrose 5%"`` or ``"Impact with Fiber (1/2)"``.

    Returns
    -------
    content : (str, float) or None
        The input (``"parenteral_glucose"`` or ``"enteral_glucose"``) and its glucose in mmol/mL; None for a name
        without known glucose.

    Examples
    --------
    >>> name, content = glucose_content("Dextrose 5%")
    >>> name, round(content, 3)
    ('parenteral_glucose', 0.252)
    >>> glucose_content("NaCl 0.9%") is None
    True
    """
    text = label.strip().lower()
    if _NO_GLUCOSE.search(text):
        return None
    for name, carbohydrate in _FEEDS.items():
        if name in text:
            strength = _STRENGTH.search(text)
            dilution = int(strength[1]) / int(strength[2]) if strength else 1.0
            return "enteral_glucose", carbohydrate * dilution * _CARBOHYDRATE
    for pattern, percent in _PARENTERAL:
        found = pattern.search(text)
        if found:
            written = next((group for group in found.groups() if group), None)
            return "parenteral_glucose", _DEXTROSE * (float(written.replace(",", ".")) if written else percent or 0.0)
    return None
