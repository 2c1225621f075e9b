"""AWS as boto3 reaches it: credentials as the AWS CLI finds them."""

from typing import cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from streams.collectors.cloudwatch import Client, CollectError

CONFIG = Config(connect_timeout=5, read_timeout=30, retries={"max_attempts": 1})
"""Retries are the collector's own: it alone knows how long a poll may take."""


def cloudwatch(region: str) -> Client:
    """A client of CloudWatch in a region."""
    return cast(Client, boto3.client("cloudwatch", region_name=region, config=CONFIG))


def regions() -> frozenset[str]:
    """Every region with CloudWatch that boto3 knows, of all partitions. No network."""
    session = boto3.session.Session()
    return frozenset(
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("cloudwatch", partition)
    )


def account_id(region: str) -> str:
    """The account of the credentials, 12 digits.

    Raises CollectError where there are none, or AWS does not know them.
    """
    try:
        client = boto3.client("sts", region_name=region, config=CONFIG)
        return str(client.get_caller_identity()["Account"])
    except (BotoCoreError, ClientError) as error:
        text = (
            f"AWS does not say whose credentials these are ({type(error).__name__})."
            " Configure them as for the AWS CLI, or name the account"
        )
        raise CollectError(text, retry=False) from error
