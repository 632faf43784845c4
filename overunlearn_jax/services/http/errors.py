"""What a service over HTTP can answer in place of an answer; no text here ever holds a token."""

from overunlearn_jax.user_code import UserCodeError

ADVICE = {
    400: "the service does not understand the request: see whether --dialect and the pixel format are its own",
    401: "the service wants another token: give it by --token_env or --token_file; a --deletion_url on another host "
    "has its own, --deletion_token_env or --deletion_token_file",
    403: "the token may not do this: ask who runs the service for one that may",
    404: "there is nothing at this address: see the URL, the model's name and its version",
    405: "the service does not take this call here: see the URL and --dialect",
    409: "the service is in another state than this call needs",
    413: "the request is too large: send fewer images at a time with --service_batch",
    422: "the service understands the request and cannot use it: see image shape, data type and --dialect",
}
LONGEST = 300  # characters of a service's own words that are shown


class RefusedError(UserCodeError):
    """The service answered, and its answer is no: asking again would change nothing.

    Attributes:
      status: of HTTP; 0 where the answer could not be read at all.
    """

    shows_cause = False

    def __init__(self, message: str, status: int = 0):
        super().__init__(message)
        self.status = status


class UnavailableError(UserCodeError, OSError):
    """The service could not be reached, however often it was tried; a `BlackBox` with retries asks again."""

    shows_cause = False


def shortened(text: str) -> str:
    """A service's own words in a line, not too long for an error."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} ..."
