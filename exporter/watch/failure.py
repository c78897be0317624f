"""What an HTTP status asks a client to do next."""

from exporter.errors import ApiError, Gone, NotServed, Refused, Unavailable, Unsupported


def failure(code: int, message: str, retry_after: float = 0.0) -> ApiError:
    """Choose the error for a status that is not a success."""
    match code:
        case 410:
            return Gone(message, code)
        case 404:
            return NotServed(message, code)
        case 401 | 403:
            return Refused(message, code)
        case 400 | 405 | 406 | 422:
            return Unsupported(message, code)
        case _:
            return Unavailable(message, code, retry_after)
