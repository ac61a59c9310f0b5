"""What a caller of the server is told, by status."""


class RequestError(Exception):
    """A request that is refused.

    Args:
        status: Of HTTP.
        text: Why, for who sent it; becomes one line.
        retry_after: Seconds after which it may succeed.
    """

    def __init__(
        self, status: int, text: str, retry_after: int | None = None
    ) -> None:
        super().__init__(' '.join(text.split()))
        self.status = status
        self.retry_after = retry_after
