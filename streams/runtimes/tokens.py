"""Signing in to Amazon MSK by IAM: tokens in place of a password.

A token is a signed URL that is good for a quarter of an hour. Clients ask for the next
one before it ends, so nothing is kept here.
"""

from importlib import import_module
from typing import Any

from streams.kafka import Tokens, WorkerStoppedError

SIGNER = "aws_msk_iam_sasl_signer.MSKAuthTokenProvider"


def iam_tokens(region: str) -> Tokens:
    """Tokens of a region, by AWS credentials wherever boto3 finds some.

    Raises WorkerStoppedError where the signer is not installed.
    """
    try:
        signer: Any = import_module(SIGNER)
    except ImportError:
        raise WorkerStoppedError(
            "signing in to Amazon MSK by IAM needs an extra: pip install 'dbslo[msk]'"
        ) from None

    def token() -> tuple[str, int]:
        text, expires_ms = signer.generate_auth_token(region)
        return text, int(expires_ms)

    return token
