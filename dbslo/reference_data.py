"""Reference pages made from data: the catalogue of SLIs and the table of settings."""

from dbslo.load import catalogue
from dbslo.settings_table import SETTINGS
from slo.model import Entry, Feed, Input
from slo.names import duration

CATALOGUE_HEAD = """\
An SLI of the catalogue is named by its id in a specification (`sli: aurora.replica_lag`).
What a specification leaves out comes from here: objective, budgeting, slice, threshold,
guards and urgency. The data stands in `slo/catalogue/`; a field is described in
`slo/model.py`, classes `Entry`, `Feed` and `Input`.

- **Feeds** stand in order of preference. In each slice the first that has data is read,
  so two sources of one datum never count twice. An SLI that no source can feed on an
  engine is refused by `dbslo validate`, with the sources that would feed it.
- **Cadence** is the usual distance of two data, **arrival lag** how late one may come
  before it is missed. Silence is never good: a slice without data is *unknown*.
- **Guards**: a tier fires only with at least *min total* and *min bad* events (slices,
  for SLIs that are measured) in its long window.
- **Urgency** is the most that an SLO may do, unless `dbslo/urgency` says otherwise.
"""

SETTINGS_HEAD = """\
Every setting is a variable of the environment, or a key of `dbslo.yaml` in the working
directory (`DBSLO_CONFIG` names another file): `DBSLO_KAFKA` is `kafka` there. An option
on the command line wins over the environment, the environment over the file.

`DBSLO_X_FILE` (in the file `x_file`) names a file that holds the value of `DBSLO_X`, for
every setting. Use it for secrets. An empty variable counts as not set. A wrong value, or
a variable that is nearly one of these, ends the program with exit code 2 and every fault
at once; no message repeats the value of a secret.
"""

EXAMPLE = """\
```yaml
# dbslo.yaml
kafka: broker-1:9092,broker-2:9092
kafka_options_file: /run/secrets/kafka # sasl.password=... and the like, one a line
store_file: /run/secrets/store
specs: [slos]
inventory: inventory.yaml
pagerduty_key_file: /run/secrets/pagerduty
metrics_listen: 0.0.0.0:9466
```
"""


def settings_page(generated: str) -> str:
    """docs/reference/settings.md; `generated` is the note on top of it."""
    rows = [
        f"| `{setting.name}` | {_default(setting.default)} |"
        f" {setting.meaning}{' Secret.' if setting.secret else ''} |"
        for setting in SETTINGS
    ]
    return "\n".join(
        [
            "# Settings",
            "",
            generated,
            "",
            SETTINGS_HEAD,
            "| setting | default | meaning |",
            "|---|---|---|",
            *rows,
            "",
            EXAMPLE,
        ]
    )


def _default(default: str) -> str:
    return f"`{default}`" if default else "(none)"


def catalogue_page(generated: str) -> str:
    """docs/reference/catalogue.md; `generated` is the note on top of it."""
    entries = sorted(catalogue().values(), key=lambda entry: entry.code)
    overview = [
        f"| {entry.code} | [`{entry.id}`](#{_anchor(entry)}) | {entry.title} |"
        f" {_percent(entry)} | {entry.urgency.value} |"
        for entry in entries
    ]
    sections = [line for entry in entries for line in _section(entry)]
    return "\n".join(
        [
            "# Catalogue of SLIs",
            "",
            generated,
            "",
            CATALOGUE_HEAD,
            "| code | id | what | objective | urgency |",
            "|---|---|---|---|---|",
            *overview,
            "",
            *sections,
        ]
    )


def _anchor(entry: Entry) -> str:
    """The anchor that GitHub makes of the heading."""
    heading = f"{entry.code} {entry.id}".lower()
    kept = (sign for sign in heading if sign.isalnum() or sign in " _-")
    return "".join(kept).replace(" ", "-")


def _percent(entry: Entry) -> str:
    """Percentages exist in text only."""
    return f"{(entry.objective * 100).normalize():f} %"


def _section(entry: Entry) -> list[str]:
    return [
        f"## {entry.code} {entry.id}",
        "",
        f"**{entry.title}.** {entry.description}",
        "",
        _defaults(entry),
        "",
        "| feed | of | engines | metrics | cadence | arrival lag | when idle |",
        "|---|---|---|---|---|---|---|",
        *(_feed(number, feed) for number, feed in enumerate(entry.feeds, 1)),
        "",
        *(f"- {pitfall}" for pitfall in entry.pitfalls),
        "",
    ]


def _defaults(entry: Entry) -> str:
    parts = [
        f"kind {entry.kind.value}",
        f"objective {_percent(entry)}",
        f"budgeting {entry.budgeting.value}",
    ]
    if entry.threshold is not None:
        parts.append(f"threshold {entry.threshold:g} {entry.unit}")
    parts += [
        f"slice {duration(entry.slice_ms)}",
        f"min total {entry.min_total}",
        f"min bad {entry.min_bad}",
        f"urgency {entry.urgency.value}",
    ]
    return f"Defaults: {', '.join(parts)}."


def _feed(number: int, feed: Feed) -> str:
    engines = ", ".join(engine.value for engine in feed.engines)
    metrics = "<br>".join(_input(part) for part in feed.inputs)
    return (
        f"| {number} {feed.source} | {feed.resource.value} | {engines} | {metrics} |"
        f" {duration(feed.cadence_ms)} | {duration(feed.arrival_lag_ms)} | {feed.idle} |"
    )


def _input(part: Input) -> str:
    """A metric: its part, how it is read, and what is no measurement."""
    names = " or ".join(f"`{metric}`" for metric in part.metrics)
    notes = []
    if part.dimensions:
        notes.append(f"by {', '.join(part.dimensions)}")
    if part.unit:
        notes.append(f"in {part.unit}")
    notes.append(part.stat.value)
    if part.rate:
        notes.append("per second")
    notes += [
        f"{sentinel.value:g} is {sentinel.outcome.value}: {sentinel.meaning}"
        for sentinel in part.sentinels
    ]
    return f"{part.part.value} {names} ({'; '.join(notes)})"
