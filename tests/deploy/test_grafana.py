"""Grafana's provisioning, by the structure that its documentation gives.

No Grafana can be had here. The schemas state what "Provision Grafana" (data sources,
dashboards) says of each key; they are closed, so a key that is misspelt is found.
"""

import copy

import jsonschema
import pytest
import yaml

from dashboards import check
from dashboards.boards import boards
from dashboards.findings import leaves
from tests.deploy.compose import mounted, services

DATASOURCES = yaml.safe_load(
    mounted(
        "grafana", "/etc/grafana/provisioning/datasources/prometheus.yml"
    ).read_text()
)
PROVIDERS = yaml.safe_load(
    mounted("grafana", "/etc/grafana/provisioning/dashboards/dbslo.yml").read_text()
)

TEXT = {"type": "string", "minLength": 1}
DATASOURCE_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["apiVersion", "datasources"],
    "properties": {
        "apiVersion": {"const": 1},
        "prune": {"type": "boolean"},
        "deleteDatasources": {"type": "array"},
        "datasources": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "type", "access", "url", "uid"],
                "properties": {
                    "name": TEXT,
                    "type": TEXT,
                    "access": {"enum": ["proxy", "direct"]},
                    "orgId": {"type": "integer"},
                    "uid": {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,40}$"},
                    "url": {"type": "string", "pattern": "^https?://"},
                    "user": TEXT,
                    "database": TEXT,
                    "basicAuth": {"type": "boolean"},
                    "basicAuthUser": TEXT,
                    "withCredentials": {"type": "boolean"},
                    "isDefault": {"type": "boolean"},
                    "version": {"type": "integer"},
                    "editable": {"type": "boolean"},
                    "secureJsonData": {"type": "object"},
                    "jsonData": {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {
                            "httpMethod": {"enum": ["POST", "GET"]},
                            "manageAlerts": {"type": "boolean"},
                            "prometheusType": {
                                "enum": ["Prometheus", "Cortex", "Mimir", "Thanos"]
                            },
                            "prometheusVersion": TEXT,
                            "timeInterval": {
                                "type": "string",
                                "pattern": r"^\d+[smh]$",
                            },
                            "queryTimeout": TEXT,
                            "cacheLevel": {"enum": ["High", "Medium", "Low", "None"]},
                            "exemplarTraceIdDestinations": {"type": "array"},
                        },
                    },
                },
            },
        },
    },
}
PROVIDER_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["apiVersion", "providers"],
    "properties": {
        "apiVersion": {"const": 1},
        "providers": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "type", "options"],
                "properties": {
                    "name": TEXT,
                    "orgId": {"type": "integer"},
                    "folder": {"type": "string"},
                    "folderUid": {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,40}$"},
                    "type": {"const": "file"},
                    "disableDeletion": {"type": "boolean"},
                    "updateIntervalSeconds": {"type": "integer", "minimum": 1},
                    "allowUiUpdates": {"type": "boolean"},
                    "editable": {"type": "boolean"},
                    "options": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["path"],
                        "properties": {
                            "path": {"type": "string", "pattern": "^/"},
                            "foldersFromFilesStructure": {"type": "boolean"},
                        },
                    },
                },
            },
        },
    },
}
BOTH = pytest.mark.parametrize(
    ("tree", "schema"),
    [(DATASOURCES, DATASOURCE_SCHEMA), (PROVIDERS, PROVIDER_SCHEMA)],
    ids=["data sources", "dashboards"],
)


@BOTH
def test_the_provisioning_has_the_structure_that_grafana_documents(tree, schema):
    jsonschema.Draft202012Validator(schema).validate(tree)


@BOTH
def test_a_misspelt_key_is_found(tree, schema):
    broken = copy.deepcopy(tree)
    (listed,) = [v for v in broken.values() if isinstance(v, list)]
    listed[0]["tpye"] = listed[0].pop("type")
    assert list(jsonschema.Draft202012Validator(schema).iter_errors(broken))


def test_the_data_source_is_the_prometheus_of_the_file_and_the_default():
    (source,) = DATASOURCES["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert services()["prometheus"]["ports"][0].endswith(":9090")
    assert source["isDefault"] is True
    kinds = {v for b in boards().values() for p, v in leaves(b) if p.endswith("e.type")}
    assert source["type"] in kinds


def test_the_data_source_knows_how_often_prometheus_scrapes():
    """`$__rate_interval` is four times this: with a wrong one rates are empty."""
    (source,) = DATASOURCES["datasources"]
    path = mounted("prometheus", "/etc/prometheus/prometheus.yml")
    scraped = yaml.safe_load(path.read_text())["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scraped


def test_the_provider_reads_the_generated_boards_from_their_mount():
    (provider,) = PROVIDERS["providers"]
    folder = mounted("grafana", provider["options"]["path"])
    assert {path.stem for path in folder.glob("*.json")} == set(boards())
    assert check(folder) == []


def test_the_home_page_is_one_of_the_boards():
    home = services()["grafana"]["environment"][
        "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"
    ]
    assert mounted("grafana", home).exists()


def test_the_folder_of_boards_is_not_changed_by_hand():
    (provider,) = PROVIDERS["providers"]
    assert provider["allowUiUpdates"] is False
    assert all(board["editable"] is False for board in boards().values())
