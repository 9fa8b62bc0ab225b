"""The ventilated lung: mechanics, recruitment and gas exchange."""

from .charted import ChartedMechanics
from .gas_exchange import GasExchange
from .mechanics import SingleCompartment
from .recruitment import Recruitment

__all__ = ["ChartedMechanics", "GasExchange", "Recruitment", "SingleCompartment"]
