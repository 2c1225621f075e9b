"""The ground that the tests stand on: what it counts, fetches and refuses."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.ground import cache, figures
from tests.real.servers.process import Process, folder, found, free_ports

ROOT = figures.ROOT
TESTS = """
import pytest
from tests.ground.cache import Missing

@pytest.fixture
def kafka():
    pytest.skip("Java is not installed")

def test_that_needs_nothing(): pass
def test_that_needs_kafka(kafka): pass
@pytest.mark.real
def test_that_found_its_server(): pass
def test_that_needs_captures(samples): pass
"""


def _run(where: Path, **env: str) -> tuple[int, str]:
    """The exit code and the words of a run of TESTS, with just these variables."""
    (where / "test_inner.py").write_text(TESTS)
    (where / "conftest.py").write_text(
        "from tests.conftest import samples\npytest_plugins = ['tests.ground.closing']"
    )
    options = ("-q", "-p", "no:cacheprovider", "-c", os.devnull, "-o", "markers=real")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(where)],
        check=False,
        capture_output=True,
        text=True,
        cwd=where,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **env},
    )
    return done.returncode, done.stdout


class TestTheClosingLines:
    def test_they_say_what_ran_what_did_not_and_why(self, tmp_path: Path) -> None:
        code, printed = _run(tmp_path)
        assert code == 0
        assert "real-part tests: 1 ran (other 1), 1 skipped, 0 left out\n" in printed
        assert "skipped 1: Java is not installed\n" in printed
        assert "skipped 1: DBSLO_SAMPLES is not set" in printed
        assert "2 passed, 2 skipped" in printed

    def test_in_ci_whatever_is_skipped_has_failed(self, tmp_path: Path) -> None:
        code, printed = _run(tmp_path, CI="true")
        assert code == 1
        assert "CI=true does not allow: Java is not installed" in printed
        assert "2 passed, 2 errors" in printed

    def test_captures_come_from_any_folder(self, tmp_path: Path) -> None:
        code, printed = _run(tmp_path, DBSLO_SAMPLES=str(tmp_path))
        assert code == 0
        assert "3 passed, 1 skipped" in printed

    def test_a_folder_that_is_not_there_is_no_reason_to_skip(
        self, tmp_path: Path
    ) -> None:
        code, printed = _run(tmp_path, DBSLO_SAMPLES=str(tmp_path / "none"))
        assert code == 1
        assert "is not a folder" in printed


class TestTheCache:
    @pytest.fixture(autouse=True)
    def _elsewhere(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def test_a_thing_is_fetched_once_however_many_ask_at_once(self) -> None:
        fetched = []

        def fill(draft: Path) -> None:
            fetched.append(draft)
            (draft / "it").write_text("here")

        asking = [
            threading.Thread(target=cache.once, args=("thing", fill)) for _ in range(4)
        ]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()

        assert (cache.once("thing", fill) / "it").read_text() == "here"
        assert len(fetched) == 1

    def test_a_fetch_that_fails_half_way_leaves_nothing_behind(self) -> None:
        def fill(draft: Path) -> None:
            (draft / "half").write_text("of it")
            raise cache.Missing("the network went away")

        with pytest.raises(cache.Missing):
            cache.once("thing", fill)

        left = {path.name for path in cache.cache().iterdir()}
        assert left == {"thing.lock"}

    def test_what_could_not_be_had_is_not_tried_again_for_every_test(self) -> None:
        tries = []

        def fill(draft: Path) -> None:
            tries.append(draft)
            raise cache.Missing("no network")

        for _ in range(3):
            with pytest.raises(cache.Missing, match="no network"):
                cache.once("thing", fill)

        assert len(tries) == 1


class TestProcesses:
    def test_a_server_that_ends_at_once_is_told_with_its_last_words(self) -> None:
        with folder("test") as where:
            script = "echo no such option >&2; exit 3"
            process = Process(["/bin/sh", "-c", script], where / "log")
            with pytest.raises(RuntimeError, match=r"(?s)ended \(3\).*no such option"):
                process.wait_until(lambda: False, 20)

    def test_killing_a_server_kills_its_children(self) -> None:
        with folder("test") as where:
            script = "sleep 600 & echo $!; wait"
            process = Process(["/bin/sh", "-c", script], where / "log")
            process.wait_until(lambda: bool(process.tail().strip()), 20)
            child = int(process.tail())
            process.kill()
            assert not process.alive
            end = time.monotonic() + 20
            while not _gone(child):
                assert time.monotonic() < end

    def test_ports_are_different_and_free(self) -> None:
        assert len(set(free_ports(5))) == 5

    def test_a_tool_that_is_missing_names_the_package_that_brings_it(self) -> None:
        with pytest.raises(cache.Missing, match="apt-get install a-package"):
            found("no-such-tool", "a-package")


def _gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet has, too."""
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


class TestTheFigures:
    def test_docstrings_blanks_and_decorators_are_not_counted(
        self, tmp_path: Path
    ) -> None:
        file = tmp_path / "sample.py"
        file.write_text(SAMPLE)
        assert {f.where.split()[-1]: f.lines for f in figures.functions(file)} == {
            "outer": 5,
            "inner": 2,
        }

    def test_a_percentile_is_a_length_that_occurs(self) -> None:
        assert figures.percentile([1, 2, 3, 4], 0.5) == 2
        assert figures.percentile(list(range(1, 11)), 0.9) == 9


SAMPLE = '''
@decorated
def outer(
    argument,
):
    """Does it.

    With care.
    """

    def inner():
        """Says nothing."""
        return 1
'''
