"""A Kubernetes API server small enough to embed: same wire, scripted cluster."""

from exporter.simulator.server import Simulator
from exporter.simulator.store import Store

__all__ = ["Simulator", "Store"]
