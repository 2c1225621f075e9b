"""How every Java server of the tests is launched."""

from pathlib import Path

from tests.real.servers.process import found


def java(jars: Path, main: str, *args: str, heap_mb: int = 512) -> list[str]:
    """The command that runs class `main` out of a folder of jars.

    One compiler tier starts faster and is no slower for tests; a serial collector
    leaves the second core to the client.
    """
    return [
        found("java", "default-jre-headless"),
        *(f"-Xms{heap_mb}m", f"-Xmx{heap_mb}m"),
        *("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.level=WARN"),
        *("-cp", f"{jars}/*", main, *args),
    ]
