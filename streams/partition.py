"""Which observations partition a cluster's events go to."""

from hashlib import blake2b


def partition_of(cluster: str, partitions: int) -> int:
    """The partition of a cluster with its instances, proxies and connectors.

    A hash of the name alone, the same in every process and for ever.
    """
    digest = blake2b(cluster.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % partitions
