"""How long the state machines look: short here, long where HYPOTHESIS_LONG is set."""

import os

from hypothesis import HealthCheck, settings

calm = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile(
    "quick", max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=calm
)
settings.register_profile(
    "long", max_examples=500, stateful_step_count=40, deadline=None, suppress_health_check=calm
)
settings.load_profile("long" if os.environ.get("HYPOTHESIS_LONG") else "quick")
