"""Ask a running exporter whether it is ready; for containers without curl."""

import aiohttp


async def healthcheck(url: str, timeout_seconds: float) -> tuple[bool, str]:
    """Return whether it is ready, and what it said. TLS certificates are not verified.

    Only the answer of a process beside this one matters here, and readiness is no secret.
    """
    timeout = aiohttp.ClientTimeout(total=timeout_seconds)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, ssl=False) as response,
        ):
            return response.status == 200, await response.text()
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
        return False, f"{url}: expected http://host:port/path or https://host:port/path"
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        return False, f"{url}: {str(error) or type(error).__name__}"
