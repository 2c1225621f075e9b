"""Settings from environment and file: what wins, what is wrong, and what stays secret."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dbslo.settings import Settings, read_settings
from dbslo.settings_table import FORMATS, SETTINGS
from slo.faults import Fault, SpecificationError
from streams.sources import FORMATS as SOURCES
from streams.topics import AUTO

SECRET = "hunter2_c0ffee_0123456789abcdef_"


@pytest.fixture
def no_file(tmp_path: Path) -> Path:
    return tmp_path / "none.yaml"


def faults_of(environ: dict[str, str], file: Path) -> list[str]:
    """The faults that reading ends with, as text."""
    with pytest.raises(SpecificationError) as caught:
        read_settings(environ, file)
    return [f"{fault.key}: {fault.reason}" for fault in caught.value.faults]


class TestWhatTheyAre:
    def test_defaults(self, no_file: Path) -> None:
        found = read_settings({}, no_file)
        assert found.given == frozenset()
        assert found.kafka == ""
        assert found.store == "sqlite:///dbslo.sqlite"
        assert found.specs == (Path("slos"),)
        assert found.inventory == Path("inventory.yaml")
        assert found.topics == {"cloudwatch": "cloudwatch", "datadog": "datadog"}
        assert found.metrics_listen == ("127.0.0.1", 9466)
        assert found.pagerduty_url == "https://events.pagerduty.com"
        assert found.kafka_options == {}
        assert found.policy_divisor == 1

    def test_every_setting_of_the_table_is_a_field_and_back(self) -> None:
        fields = set(Settings.__struct_fields__) - {"given"}
        assert {setting.field for setting in SETTINGS} == fields

    def test_every_format_that_is_read_may_be_named(self) -> None:
        assert {*SOURCES, AUTO} == set(FORMATS)

    def test_every_default_passes_its_own_check(self) -> None:
        for setting in SETTINGS:
            if setting.default:
                setting.parse(setting.default)

    def test_the_environment(self, no_file: Path) -> None:
        found = read_settings(
            {
                "DBSLO_KAFKA": "a:9092,b:9092",
                "DBSLO_KAFKA_OPTIONS": "security.protocol=SASL_SSL,sasl.password=a,b=c,d",
                "DBSLO_STORE": "postgresql+psycopg://dbslo:pw@db/dbslo",
                "DBSLO_SPECS": "slos/a.yaml, slos/b",
                "DBSLO_METRICS_LISTEN": "[::1]:0",
                "DBSLO_PARTITIONS": "24",
                "DBSLO_TOPICS": "metrics=auto",
                "DBSLO_RUNTIME": "faust",
                "PATH": "/bin",
            },
            no_file,
        )
        assert found.kafka == "a:9092,b:9092"
        assert found.kafka_options == {
            "security.protocol": "SASL_SSL",
            "sasl.password": "a",
            "b": "c,d",
        }
        assert found.specs == (Path("slos/a.yaml"), Path("slos/b"))
        assert found.metrics_listen == ("::1", 0)
        assert (found.partitions, found.runtime) == (24, "faust")
        assert found.topics == {"metrics": "auto"}
        assert "DBSLO_KAFKA" in found.given

    def test_the_file_and_what_the_environment_overrides(self, tmp_path: Path) -> None:
        file = tmp_path / "dbslo.yaml"
        file.write_text(
            "kafka: a:9092\n"
            "specs: [slos/a.yaml, slos/b.yaml]\n"
            "partitions: 6\n"
            "topics: {cloudwatch: cloudwatch, dd: vector}\n"
            "kafka_options: {security.protocol: SASL_SSL, sasl.password: 'x,y=z'}\n"
        )
        found = read_settings({"DBSLO_PARTITIONS": "9"}, file)
        assert found.kafka == "a:9092"
        assert found.specs == (Path("slos/a.yaml"), Path("slos/b.yaml"))
        assert found.partitions == 9
        assert found.topics == {"cloudwatch": "cloudwatch", "dd": "vector"}
        assert found.kafka_options["sasl.password"] == "x,y=z"

    def test_another_file_by_name(self, tmp_path: Path, no_file: Path) -> None:
        file = tmp_path / "other.yaml"
        file.write_text("slot: '7'\n")
        assert read_settings({"DBSLO_CONFIG": str(file)}, no_file).slot == "7"

    def test_an_empty_variable_is_not_set(self, no_file: Path) -> None:
        found = read_settings({"DBSLO_STORE": "", "DBSLO_KAFKA": ""}, no_file)
        assert found.store == "sqlite:///dbslo.sqlite"
        assert found.given == frozenset()


class TestSecrets:
    def test_a_secret_may_stand_in_a_file(self, tmp_path: Path, no_file: Path) -> None:
        key = tmp_path / "key"
        key.write_text(f"{SECRET}\n")
        found = read_settings({"DBSLO_PAGERDUTY_KEY_FILE": str(key)}, no_file)
        assert found.pagerduty_key == SECRET

    def test_so_may_every_setting(self, tmp_path: Path, no_file: Path) -> None:
        for setting in SETTINGS:
            if setting.default:
                path = tmp_path / setting.field
                path.write_text(setting.default)
                found = read_settings({f"{setting.name}_FILE": str(path)}, no_file)
                assert getattr(found, setting.field) == setting.parse(setting.default)

    def test_options_one_a_line_keep_their_commas(
        self, tmp_path: Path, no_file: Path
    ) -> None:
        path = tmp_path / "options"
        path.write_text("sasl.password=a,b\nsecurity.protocol=SSL\n")
        found = read_settings({"DBSLO_KAFKA_OPTIONS_FILE": str(path)}, no_file)
        assert found.kafka_options == {
            "sasl.password": "a,b",
            "security.protocol": "SSL",
        }

    def test_the_environment_wins_over_a_secret_that_the_file_points_at(
        self, tmp_path: Path
    ) -> None:
        file = tmp_path / "dbslo.yaml"
        file.write_text(f"pagerduty_key_file: {tmp_path / 'none'}\n")
        with pytest.raises(SpecificationError):
            read_settings({}, file)
        (tmp_path / "none").write_text("f" * 32)
        assert read_settings({}, file).pagerduty_key == "f" * 32
        found = read_settings({"DBSLO_PAGERDUTY_KEY": SECRET}, file)
        assert found.pagerduty_key == SECRET

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("DBSLO_STORE", f"mysql://dbslo:{SECRET}@db/x"),
            ("DBSLO_STORE", f"postgresql+psycopg://dbslo:{SECRET}@db:port/x"),
            ("DBSLO_WEBHOOK_URL", f"ftp://hooks.example.com/{SECRET}"),
            ("DBSLO_PAGERDUTY_KEY", f"{SECRET}\nand more"),
            ("DBSLO_KAFKA_OPTIONS", f"sasl.password {SECRET}"),
        ],
    )
    def test_no_fault_repeats_one(self, name: str, value: str, no_file: Path) -> None:
        with pytest.raises(SpecificationError) as caught:
            read_settings({name: value}, no_file)
        assert SECRET not in str(caught.value)
        assert SECRET not in repr(caught.value)
        assert name in str(caught.value)

    def test_settings_do_not_print_their_values(self, no_file: Path) -> None:
        found = read_settings({"DBSLO_PAGERDUTY_KEY": SECRET}, no_file)
        assert SECRET not in repr(found)
        assert SECRET not in str(found)


REFUSED = {
    "a misspelt name": ("DBSLO_PAGERDUTY_KEYFILE", "x", "is no setting"),
    "a misspelt store": ("DBSLO_STOER", "x", "is no setting"),
    "a number that is none": ("DBSLO_PARTITIONS", "many", "no whole number"),
    "a number out of bounds": ("DBSLO_PARTITIONS", "0", "no whole number from 1 to 1,000"),
    "an address without a port": ("DBSLO_METRICS_LISTEN", "localhost", "not host:port"),
    "a port beyond all ports": ("DBSLO_METRICS_LISTEN", "::1:99999", "not host:port"),
    "an unknown runtime": ("DBSLO_RUNTIME", "flink", "not one of native, faust"),
    "a store of another kind": ("DBSLO_STORE", "mysql://db/x", "DBSLO_STORE: begins with neither sqlite:// nor postgresql+psycopg://"),
    "a URL of another kind": ("DBSLO_GRAFANA_URL", "ftp://x", "'ftp://x' begins with neither http:// nor https://"),
    "a URL with a space": ("DBSLO_GRAFANA_URL", "https://a b", "holds a space"),
    "a broker that is a number": ("DBSLO_KAFKA", "7", "'7' is no list of host:port"),
    "a broker without a host": ("DBSLO_KAFKA", "a:9092,:9092", "no list of host:port"),
    "a broker with a word as port": ("DBSLO_KAFKA", "a:port", "no list of host:port"),
    "a slot below zero": ("DBSLO_SLOT", "-1", "'-1' is no slot"),
    "a slot with a space": ("DBSLO_SLOT", "a b", "is no slot"),
    "a PagerDuty without a host": ("DBSLO_PAGERDUTY_URL", "https:///v2", "names no host"),
    "a key that is none": ("DBSLO_PAGERDUTY_KEY", "u+Abc123", "no PagerDuty key"),
    "a key too long": ("DBSLO_PAGERDUTY_KEY", "0" * 33, "no PagerDuty key"),
    "a topic without a format": ("DBSLO_TOPICS", "cloudwatch", "not name=value"),
    "a topic of no format": ("DBSLO_TOPICS", "cloudwatch=json", "none of cloudwatch, datadog"),
    "a topic twice": ("DBSLO_TOPICS", "a=auto,a=auto", "names a twice"),
    "no path at all": ("DBSLO_SPECS", " , ", "names no path"),
    "a secret that is not there": ("DBSLO_PAGERDUTY_KEY_FILE", "none/key", "cannot be read"),
    "a configuration that is not there": ("DBSLO_CONFIG", "none.yaml", "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_it_refuses(what: str, no_file: Path) -> None:
    name, value, reason = REFUSED[what]
    (fault,) = faults_of({name: value}, no_file)
    assert reason in fault


FORMS = {
    # the line of dbslo.yaml: what is said of it
    "specs: {a: b}": "specs: must be a plain value, is a mapping",
    "specs: [{a: b}]": "specs: must be a plain value, is a list of more",
    "inventory: {a: b}": "inventory: must be a plain value, is a mapping",
    "kafka: 7": "kafka: '7' is no list of host:port",
    "slot: -1": "slot: '-1' is no slot: a number such as 0, or a word",
    "topics: [[a, b]]": "topics: must be a mapping, is a list of more",
}


@pytest.mark.parametrize("line", FORMS)
def test_the_file_must_hold_values_of_the_right_form(line: str, tmp_path: Path) -> None:
    file = tmp_path / "dbslo.yaml"
    file.write_text(f"{line}\n")
    assert faults_of({}, file) == [FORMS[line]]


@pytest.mark.parametrize(
    "written",
    [
        "kafka:9092",
        "a:9092, b",
        "10.0.0.1:9092",
        "[::1]:9092",
        "SASL_SSL://b-1.kafka.eu-west-1.amazonaws.com:9098",
    ],
)
def test_brokers_as_kafka_takes_them(written: str, no_file: Path) -> None:
    assert read_settings({"DBSLO_KAFKA": written}, no_file).kafka == written


@pytest.mark.parametrize("written", ["0", "12", "ingest-0", "a.b_c"])
def test_slots_as_stateful_sets_name_them(written: str, no_file: Path) -> None:
    assert read_settings({"DBSLO_SLOT": written}, no_file).slot == written


class TestFaults:
    def test_all_of_them_at_once_from_everywhere(self, tmp_path: Path) -> None:
        file = tmp_path / "dbslo.yaml"
        file.write_text(
            "partitions: many\nkafak: a:9092\nlog_level: loud\nslot: 1\nslot: 2\n"
        )
        found = faults_of({"DBSLO_FLUSH_MS": "soon", "DBSLO_RUNTIME": "flink"}, file)
        assert {fault.split(":")[0] for fault in found} == {
            "slot",
            "kafak",
            "partitions",
            "log_level",
            "DBSLO_FLUSH_MS",
            "DBSLO_RUNTIME",
        }

    def test_a_line_of_the_file_is_named(self, tmp_path: Path) -> None:
        file = tmp_path / "dbslo.yaml"
        file.write_text("kafka: a:9092\n\npartitions: many\n")
        with pytest.raises(SpecificationError) as caught:
            read_settings({}, file)
        (fault,) = caught.value.faults
        assert (fault.place.file, fault.place.line) == (str(file), 3)

    def test_a_value_and_its_file_contradict_each_other(
        self, tmp_path: Path, no_file: Path
    ) -> None:
        key = tmp_path / "key"
        key.write_text("x")
        environ = {
            "DBSLO_PAGERDUTY_KEY": "0" * 32,
            "DBSLO_PAGERDUTY_KEY_FILE": str(key),
        }
        (fault,) = faults_of(environ, no_file)
        assert "beside DBSLO_PAGERDUTY_KEY" in fault

    def test_a_secret_that_is_too_large_or_no_text(
        self, tmp_path: Path, no_file: Path
    ) -> None:
        path = tmp_path / "key"
        for content, reason in ((b"x" * 70_000, "larger than"), (b"\xff", "not UTF-8")):
            path.write_bytes(content)
            (fault,) = faults_of({"DBSLO_PAGERDUTY_KEY_FILE": str(path)}, no_file)
            assert reason in fault

    def test_what_others_set_is_none_of_our_business(self, no_file: Path) -> None:
        foreign = {
            "DBSLO_PORT": "tcp://10.0.0.1:9466",
            "DBSLO_PORT_9466_TCP_ADDR": "10.0.0.1",
            "DBSLO_SERVICE_HOST": "10.0.0.1",
            "DBSLO_SERVICE_PORT_METRICS": "9466",
            "DBSLO_SAMPLES": "samples",
            "DBSLO_CASES": "cases",
        }
        assert read_settings(foreign, no_file).given == frozenset()

    def test_what_a_command_needs_is_asked_for_at_once(self, no_file: Path) -> None:
        found = read_settings({"DBSLO_STORE": "sqlite:///x"}, no_file)
        with pytest.raises(SpecificationError) as caught:
            found.require("DBSLO_KAFKA", "DBSLO_PAGERDUTY_KEY", "DBSLO_STORE")
        assert [fault.key for fault in caught.value.faults] == [
            "DBSLO_KAFKA",
            "DBSLO_PAGERDUTY_KEY",
        ]
        read_settings({"DBSLO_KAFKA": "a:1"}, no_file).require("DBSLO_KAFKA")


NAMES = st.sampled_from(
    [name for s in SETTINGS for name in (s.name, f"{s.name}_FILE")]
) | st.text("DBSLO_KAFE", max_size=12)
VALUES = st.text(st.characters(exclude_characters="\x00"), max_size=30)


def settled(
    environ: dict[str, str], file: Path
) -> tuple[Settings | None, tuple[Fault, ...]]:
    """Settings, or what is wrong; any other exception is let through."""
    try:
        return read_settings(environ, file), ()
    except SpecificationError as error:
        return None, error.faults


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(NAMES, VALUES, max_size=5), st.binary(max_size=100))
@example({"DBSLO_STORE": "postgresql+psycopg://[::1"}, b"")
@example({"DBSLO_METRICS_LISTEN": "[]:1"}, b"store: {a: [b]}")
@example({"DBSLO_PAGERDUTY_KEY_FILE": "a\ud800"}, b"")
def test_nothing_crashes_it(
    tmp_path: Path, environ: dict[str, str], content: bytes
) -> None:
    file = tmp_path / "dbslo.yaml"
    file.write_bytes(content)
    found, faults = settled(environ, file)
    assert (found is None) is bool(faults)
    assert found is None or found.inventory
    assert all(fault.reason and fault.remedy for fault in faults)
