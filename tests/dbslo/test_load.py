"""Files to a plan: all faults of all files at once, and nothing but faults."""

import time
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbslo.load import catalogue, load, load_plan
from slo.faults import Fault, SpecificationError
from slo.plan import Plan
from tests.slo.written import COMMITS, FLEET, LAG, PROXY, TRANSACTIONS, spoilt

ROOT = Path(__file__).parents[2]


def faults_of(specs: list[Path], inventory: Path) -> list[str]:
    """The faults that a load ends with, as text."""
    with pytest.raises(SpecificationError) as caught:
        load_plan(specs, inventory)
    return [str(fault) for fault in caught.value.faults]


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    path = tmp_path / "inventory.yaml"
    path.write_text(FLEET)
    return path


class TestFiles:
    def test_a_folder_is_read_with_its_folders_in_order(
        self, tmp_path: Path, inventory: Path
    ) -> None:
        (tmp_path / "slos" / "b").mkdir(parents=True)
        (tmp_path / "slos" / "b" / "lag.yml").write_text(LAG)
        (tmp_path / "slos" / "a.yaml").write_text(TRANSACTIONS)
        (tmp_path / "slos" / "README.md").write_text("not: [yaml")
        plan = load_plan([tmp_path / "slos"], inventory)
        assert [slo.name for slo in plan.slos] == ["transactions", "readers-fresh"]

    def test_a_file_that_is_named_twice_is_read_once(
        self, tmp_path: Path, inventory: Path
    ) -> None:
        path = tmp_path / "slos.yaml"
        path.write_text(LAG)
        assert len(load_plan([path, path, tmp_path / "slos.yaml"], inventory).slos) == 1

    def test_every_fault_of_every_file_by_file_and_line(self, tmp_path: Path) -> None:
        fleet, one, other = (tmp_path / name for name in ("f.yaml", "a.yaml", "b.yaml"))
        fleet.write_text(spoilt(FLEET, "engine: postgres", "engine: postgre"))
        one.write_text(spoilt(LAG, "target: 0.995", "target: 1"))
        other.write_text(
            f"{spoilt(TRANSACTIONS, 'name: transactions', 'name: T')}---\n]"
        )
        found = faults_of([other, tmp_path / "none.yaml", one], fleet)
        assert [line.split(": ")[:2] for line in found] == [
            [f"{one}:24", "spec.objectives[0].target"],
            [f"{other}:4", "metadata.name"],
            [f"{other}:15", "(file)"],
            [f"{fleet}:10", "clusters[1].engine"],
            [f"{tmp_path / 'none.yaml'}:1", "(file)"],
        ]

    def test_a_broken_inventory_raises_no_doubts_about_selectors(
        self, tmp_path: Path
    ) -> None:
        fleet, slos = tmp_path / "fleet.yaml", tmp_path / "slos.yaml"
        fleet.write_text(FLEET.replace("name: orders\n", "name: ''\n"))
        slos.write_text(LAG)
        (fault,) = faults_of([slos], fleet)
        assert "clusters[0].name" in fault

    @pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
    def test_a_file_without_an_slo_is_a_fault(
        self, text: str, tmp_path: Path, inventory: Path
    ) -> None:
        path = tmp_path / "slos.yaml"
        path.write_text(text)
        (fault,) = faults_of([path], inventory)
        assert "no SLO is written" in fault

    def test_no_specification_at_all_is_a_fault(self, inventory: Path) -> None:
        assert "no SLO is written" in faults_of([], inventory)[0]

    def test_a_folder_without_yaml_is_a_fault(
        self, tmp_path: Path, inventory: Path
    ) -> None:
        (tmp_path / "empty").mkdir()
        assert "holds no YAML file" in faults_of([tmp_path / "empty"], inventory)[0]

    @pytest.mark.parametrize("text", ["", "clusters:\n", "clusters: []\n"])
    def test_a_fleet_of_nothing_is_a_fault(self, text: str, tmp_path: Path) -> None:
        fleet, slos = tmp_path / "fleet.yaml", tmp_path / "slos.yaml"
        fleet.write_text(text)
        slos.write_text(LAG)
        assert any(" clusters: " in fault for fault in faults_of([slos], fleet))

    def test_warnings_come_with_the_plan(self, tmp_path: Path, inventory: Path) -> None:
        path = tmp_path / "slos.yaml"
        path.write_text(spoilt(LAG, "target: 0.995", "target: 0.8"))
        loaded = load([path], inventory)
        assert [warning.key for warning in loaded.warnings] == [
            "spec.objectives[0].target",
            "spec.objectives[0].target",
        ]
        assert loaded.plan.slos


class TestWhatIsShipped:
    def test_the_examples_hold_without_a_warning_and_use_every_sli(self) -> None:
        loaded = load([ROOT / "examples/slos"], ROOT / "examples/inventory.yaml")
        assert loaded.warnings == ()
        used = {slo.indicator.id for slo in loaded.plan.slos}
        assert set(catalogue()) <= used

    def test_the_demo_fleet_holds(self) -> None:
        folder = ROOT / "dbslo/demo/fleet"
        assert load([folder / "slos.yaml"], folder / "inventory.yaml").warnings == ()


KNOWN_KEYS = """
apiVersion kind metadata name labels annotations spec service indicator indicatorRef
ratioMetric counter raw rawType good bad total metricSource type sli selector threshold
source metric dimensions sentinels valid timeWindow duration isRolling calendar
budgetingMethod objectives target targetPercent timeSliceTarget timeSliceWindow
clusters engine instances dbslo/urgency
"""
KNOWN_WORDS = """
openslo/v1 SLO SLI Service dbslo success cdc.liveness connect.success_ratio orders 30d 1m
1M Timeslices Occurrences page mysql cloudwatch 500ms -1 ~
"""
KEYS = st.sampled_from(KNOWN_KEYS.split())
WORDS = st.sampled_from(KNOWN_WORDS.split()) | st.text(max_size=5)
SCALARS = (
    st.none() | st.booleans() | st.integers(-(10**40), 10**40) | st.floats() | WORDS
)
JUNK = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=12,
)


def paths(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Every place inside a document."""
    found = [path]
    if isinstance(value, dict):
        for key, inner in value.items():
            found += paths(inner, (*path, key))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            found += paths(inner, (*path, at))
    return found


@st.composite
def grafted(draw: st.DrawFn) -> str:
    """A good document with junk at some places: it gets further than junk alone."""
    text = draw(st.sampled_from([LAG, TRANSACTIONS, PROXY, COMMITS, FLEET]))
    document = yaml.safe_load(text)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(paths(document)[1:] or [("spec",)]))
        holder = document
        for step in path[:-1]:
            holder = holder[step]  # type: ignore[index]
        holder[path[-1]] = draw(JUNK)
    return yaml.safe_dump(document, allow_unicode=True)


def written(text: str, key: str, value: str) -> list[object]:
    """The objects of a stream that have a key of some value."""
    documents = [
        one
        for document in yaml.safe_load_all(text)
        for one in (document if isinstance(document, list) else [document])
    ]
    return [d for d in documents if isinstance(d, dict) and d.get(key) == value]


def loaded(specs: list[Path], inventory: Path) -> tuple[Plan | None, tuple[Fault, ...]]:
    """A plan, or what is wrong; any other exception is let through."""
    try:
        return load_plan(specs, inventory), ()
    except SpecificationError as error:
        return None, error.faults


class TestNothingCrashesIt:
    """Whatever is written: a plan, or SpecificationError with places and remedies."""

    @settings(
        max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(slos=grafted() | JUNK.map(yaml.safe_dump), fleet=grafted() | st.just(FLEET))
    def test_a_specification_and_a_fleet(
        self, slos: str, fleet: str, tmp_path: Path
    ) -> None:
        (tmp_path / "slos.yaml").write_text(slos, encoding="utf-8")
        (tmp_path / "fleet.yaml").write_text(fleet, encoding="utf-8")
        plan, faults = loaded([tmp_path / "slos.yaml"], tmp_path / "fleet.yaml")
        assert (plan is None) is bool(faults)
        assert plan is None or plan.series
        if plan is not None:  # nothing is dropped without a word
            assert len(plan.slos) == len(written(slos, "kind", "SLO"))
            assert len(plan.inventory.clusters) == len(
                [c for f in yaml.safe_load_all(fleet) for c in f["clusters"]]
            )
        for fault in faults:
            assert fault.place.file
            assert fault.place.line >= 1
            assert fault.key
            assert fault.reason
            assert fault.remedy

    @settings(
        max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(content=st.binary(max_size=400))
    def test_bytes(self, content: bytes, tmp_path: Path) -> None:
        path = tmp_path / "slos.yaml"
        path.write_bytes(content)
        fleet = tmp_path / "fleet.yaml"
        fleet.write_text(FLEET)
        with pytest.raises(SpecificationError) as caught:
            load_plan([path], fleet)
        assert caught.value.faults


def test_five_hundred_clusters_with_twelve_slos_load_in_seconds(tmp_path: Path) -> None:
    clusters = [
        {
            "name": f"c{n}",
            "engine": "aurora-mysql",
            "labels": {"env": "prod", "team": f"t{n % 20}"},
            "instances": [f"c{n}-{i}" for i in range(3)],
            "proxies": [f"c{n}-proxy"],
            "cdc_prefixes": [f"c{n}-cdc"],
        }
        for n in range(500)
    ]
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text(yaml.safe_dump({"clusters": clusters}))
    documents = []
    slis = sorted(catalogue())
    for number in range(12):
        document = yaml.safe_load(TRANSACTIONS)
        document["metadata"]["name"] = f"slo-{number}"
        source = document["spec"]["indicator"]["spec"]["ratioMetric"]["raw"]
        source["metricSource"]["spec"] = {
            "sli": slis[number % len(slis)],
            "selector": {"env": "prod"},
        }
        del document["spec"]["budgetingMethod"]
        documents.append(document)
    slos = tmp_path / "slos.yaml"
    slos.write_text(yaml.safe_dump_all(documents))
    began = time.process_time()
    plan = load_plan([slos], fleet)
    assert time.process_time() - began < 10
    assert len(plan.slos) == 12
    assert len(plan.series) >= 12 * 500
