"""The same rate for everybody: what a rule has to beat."""

from ....patient.require import number, require_settings
from ...bedside import Orders
from ...protocol import AbstractProtocol, setting


class FixedRate(AbstractProtocol):
    """A constant infusion of insulin, whatever is measured."""

    source = "a comparator of this library"
    reads = {"glucose": "mmol/L"}
    gives = {"insulin": "U/h"}

    rate: float = setting(2.0, unit="U/h", about="insulin")
    interval: float = setting(240.0, unit="min", about="between measurements")

    def __check_init__(self):
        """Refuse a rate no pump gives."""
        require_settings(self, rate=number(0.0, 50.0), interval=number(15.0, 1440.0))

    def decide(self, bedside):  # noqa: D102
        return Orders({"insulin": (self.rate, "U/h")}, measure_in=self.interval)
