"""The ventilated lung: mechanics, recruitment and gas exchange."""

from .charted import ChartedMechanics
from .gas_exchange import GasExchange
from .mechanics import SingleCompartment
from .oxygenation import ChartedOxygenation
from .recruitment import Recruitment

__all__ = ["ChartedMechanics", "ChartedOxygenation", "GasExchange", "Recruitment", "SingleCompartment"]
