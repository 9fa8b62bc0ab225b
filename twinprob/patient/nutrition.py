"""How much glucose is in what a chart names: dextrose solutions, parenteral mixes and feeds.

Charts name products, not contents. Every content here is a **setting recalled from product labels, not published
here**; unknown nutrition is the main source of error of a glucose model on charted data.

A label is read by a grammar: a product's name, its strength in kcal/mL ("Osmolite 1.5"), and how it was diluted
("(3/4)"). A strength that is not listed for the product scales the carbohydrate of one that is; a feed whose name is
not known, but whose strength is written, has `CARBOHYDRATE_SHARE` of its energy as carbohydrate.
"""

from __future__ import annotations

import re

# Dextrose solutions are labeled as monohydrate, 198.17 g/mol: 5 % is 252 mmol/L, the osmolarity printed on the bag.
_DEXTROSE = 10 / 198.17  # mmol/mL for each percent
_CARBOHYDRATE = 1000 / 180.16  # mmol of glucose for each gram of carbohydrate
CARBOHYDRATE_SHARE = 0.5  # of a feed's energy, where nothing else is known; setting
_ENERGY = 4.0  # kcal per gram of carbohydrate

_NO_GLUCOSE = re.compile(r"dextran(?!.*(d5w|dextrose))|^pd |citrate|^lipid|^beneprotein|amino acids?$|^aminosyn")
_PARENTERAL = (
    (re.compile(r"(?:tpn|pn)\s*d?\s*(\d+(?:\.\d+)?)"), None),
    (re.compile(r"clinimix\D*\d+(?:\.\d+)?\s*/\s*(\d+)"), None),
    (re.compile(r"peripheral parenteral|^ppn"), 7.5),
    (re.compile(r"tpn|\bpn\b"), 15.0),
    (re.compile(r"dextrose\s*(\d+(?:[.,]\d+)?)\s*\.?\s*%"), None),
    (re.compile(r"(\d+(?:[.,]\d+)?)\s*%\s*dextrose"), None),
    (re.compile(r"^d(50|70)(?!\.)"), None),
    (re.compile(r"^(?:iv )?d(10|20|30|40)"), None),
    (re.compile(r"\bd5|/d5|in d5|d5w"), 5.0),
)
# g of carbohydrate per mL at full strength, by kcal/mL; the first is meant where no strength is written, and the first
# name found in a label counts.
_FEEDS: tuple[tuple[str, dict[float, float]], ...] = (
    (r"replete", {1.0: 0.113}),
    (r"promote", {1.0: 0.130}),
    (r"pro ?balance", {1.2: 0.156}),
    (r"impact peptide", {1.5: 0.140}),
    (r"impact|\bimp\b", {1.0: 0.135}),
    (r"peptamen bariatric", {1.0: 0.078}),
    (r"peptamen (?:vhp|intense)", {1.0: 0.104}),
    (r"peptamen af", {1.2: 0.107}),
    (r"peptamen", {1.0: 0.127, 1.5: 0.188}),
    (r"nutren pulm", {1.5: 0.100}),
    (r"nutren renal", {2.0: 0.205}),
    (r"nutren", {1.0: 0.127, 1.5: 0.169, 2.0: 0.196}),
    (r"novasource", {2.0: 0.190}),
    (r"fiber ?source", {1.2: 0.160}),
    (r"isosource", {1.2: 0.156, 1.5: 0.170}),
    (r"diabeti ?source", {1.2: 0.100}),
    (r"glytrol", {1.0: 0.100}),
    (r"boost glucose", {1.0: 0.084}),
    (r"boost high protein", {1.0: 0.139}),
    (r"boost plus", {1.5: 0.188}),
    (r"\bboost\b", {1.0: 0.173}),
    (r"glucerna", {1.0: 0.096, 1.2: 0.1145, 1.5: 0.1331}),
    (r"ensure plus", {1.5: 0.210}),
    (r"ensure", {1.06: 0.170}),
    (r"enlive", {1.25: 0.217}),
    (r"\bnepro\b", {1.8: 0.165}),
    (r"suplena", {1.8: 0.196}),
    (r"pulmocare", {1.5: 0.106}),
    (r"oxepa", {1.5: 0.105}),
    (r"two ?cal", {2.0: 0.217}),
    (r"pivot", {1.5: 0.172}),
    (r"perative", {1.3: 0.180}),
    (r"crucial", {1.5: 0.135}),
    (r"vivonex", {1.0: 0.190}),
    (r"criticare", {1.06: 0.220}),
    (r"jevity", {1.0: 0.155, 1.2: 0.1694, 1.5: 0.2157}),
    (r"osmolite", {1.0: 0.145, 1.2: 0.1575, 1.5: 0.2036}),
    (r"vital (?:hp|high protein)", {1.0: 0.112}),
    (r"vital af", {1.2: 0.111}),
    (r"\bvital\b", {1.0: 0.130, 1.2: 0.111, 1.5: 0.184}),
    (r"ultracal", {1.06: 0.142}),
    (r"deliver", {2.0: 0.200}),
    (r"respalor", {1.5: 0.146}),
    (r"nutrihep", {1.5: 0.290}),
    (r"subdue", {1.0: 0.127}),
    (r"tube ?feed", {1.0: 0.140}),
)
_PRODUCTS = tuple((re.compile(name), strengths) for name, strengths in _FEEDS)
_STRENGTH = re.compile(r"(?<![\d/.])([12]\.\d{1,2})(?![\d/%])")
_DILUTION = re.compile(r"(?<![\d.])([1-9])/([1-9])(?!\d)")
_FULL = re.compile(r"\((?:full|[1-9]/[1-9])\)")  # how MetaVision ends the name of a feed


def glucose_content(label: str, *, feed: bool = False) -> tuple[str, float] | None:
    """Return which input a charted product belongs to and how much glucose it holds.

    Parameters
    ----------
    label : str
        The product's name in the chart, for example ``"Dextrose 5%"`` or ``"Impact with Fiber (1/2)"``.
    feed : bool
        Whether it is known to be a feed, so that a strength alone says what it holds.

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
    >>> round(glucose_content("Glucerna 1.5 (Full)")[1], 3)
    0.739
    """
    text = label.strip().lower()
    if _NO_GLUCOSE.search(text):
        return None
    written = _STRENGTH.search(text)
    strength = float(written[1]) if written else None
    carbohydrate = next((_carbohydrate(known, strength) for name, known in _PRODUCTS if name.search(text)), None)
    if carbohydrate is None and strength is not None and (feed or _FULL.search(text)):
        carbohydrate = strength * CARBOHYDRATE_SHARE / _ENERGY
    if carbohydrate is not None:
        part = _DILUTION.search(text)
        dilution = int(part[1]) / int(part[2]) if part else 0.5 if "half" in text else 1.0
        return "enteral_glucose", carbohydrate * min(dilution, 1.0) * _CARBOHYDRATE
    for pattern, percent in _PARENTERAL:
        found = pattern.search(text)
        if found:
            said = next((group for group in found.groups() if group), None)
            return "parenteral_glucose", _DEXTROSE * (float(said.replace(",", ".")) if said else percent or 0.0)
    return None


def _carbohydrate(known: dict[float, float], strength: float | None) -> float:
    """Return g/mL of a product at a strength; one that is not listed has the carbohydrate of the first, scaled."""
    first = next(iter(known))
    if strength is None:
        return known[first]
    return known.get(strength, known[first] * strength / first)
