"""The embedded API server as tests need it: access control, faults, a reports-server."""

from exporter.simulator.store import Store
from tests.apiserver.server import Simulator

__all__ = ["Simulator", "Store"]
