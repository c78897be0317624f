"""The snapshot command runs in this process, beside a sample cluster in a thread."""

from tests.app.conftest import Beside, beside, logs_as_before, no_cluster

__all__ = ["Beside", "beside", "logs_as_before", "no_cluster"]
