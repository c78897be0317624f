"""How long the event loop is held."""

import asyncio
from collections import deque
from typing import Final, NoReturn

_EVERY_SECONDS: Final = 0.1
_KEPT: Final = 100


class Lag:
    """The longest delay of the loop in the last ten seconds."""

    def __init__(self) -> None:
        self._delays: deque[float] = deque([0.0], maxlen=_KEPT)

    @property
    def longest(self) -> float:
        """Seconds."""
        return max(self._delays)

    async def run(self) -> NoReturn:
        """Measure until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + _EVERY_SECONDS
            await asyncio.sleep(_EVERY_SECONDS)
            self._delays.append(max(clock() - due, 0.0))
