"""The OpenAPI document says what is served, and whatever is asked by it, nothing breaks."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from tests.web.conftest import EMONCMS, RADIO, configuration, serving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.emoncms import FakeEmoncms
    from tests.web.conftest import Client, Site


async def test_it_names_every_route_and_no_other(site: Site, client: Client) -> None:
    document = await client.get("/openapi.json")
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    app = site.server._runner.app
    served = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.resource.canonical.startswith("/api/") and route.method != "HEAD"
    }
    assert described == served
    assert len(described) >= 28


async def test_it_is_complete(client: Client) -> None:
    document = await client.get("/openapi.json")
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    assert document["openapi"] == "3.1.0"
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert operation["summary"]
        assert set(operation["responses"]) >= {"200", "400", "401", "403"}


async def test_a_validator_accepts_it(client: Client) -> None:
    schemathesis = pytest.importorskip("schemathesis")
    document = await client.get("/openapi.json")
    schemathesis.openapi.from_dict(document).validate()


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_nothing_that_is_asked_breaks_the_hub(
    tmp_path: Path, state: Path, emoncms: FakeEmoncms, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("schemathesis")
    radio = RADIO.format(port=tmp_path / "tty")
    report = EMONCMS.format(url=emoncms.url, key=emoncms.write_key)
    text = configuration(state, radio, report, web="password = x\ntoken = a-token\n")
    caplog.set_level(logging.ERROR, "emonhub.web")
    async with serving(tmp_path / "emonhub.conf", text) as site:
        for node in range(15, 30):
            site.reads("RFM2Pi", f"OK {node} 1 2 3 4 5 6 7 8 (-40)", "OK 10 100 0 215 0 (-40)")
        bad = await asyncio.to_thread(_ask_all, site.server.url)
    assert bad == []
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


def _ask_all(url: str) -> list[str]:
    """Ask what the document allows, and what it does not. Returns answers that are wrong."""
    import schemathesis  # noqa: PLC0415
    from hypothesis import HealthCheck, Phase, given, settings  # noqa: PLC0415
    from schemathesis.specs.openapi.checks import response_schema_conformance  # noqa: PLC0415

    headers = {"Authorization": "Bearer a-token"}
    schema = schemathesis.openapi.from_url(f"{url}/api/v1/openapi.json", headers=headers)
    bad: list[str] = []
    asked = 0
    for result in schema.get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr]
        if operation.path.endswith(("/events", "/logout")):
            continue

        def ask(case: Any) -> None:
            nonlocal asked
            asked += 1
            if "name" in (case.path_parameters or {}) and asked % 2:
                case.path_parameters["name"] = "emoncmsorg"
            response = case.call(base_url=url, headers=headers, timeout=30)
            if response.status_code >= 500:
                bad.append(f"{case.method} {case.formatted_path} {case.body!r}: {response.status_code}")
            elif response.status_code == 200:
                case.validate_response(response, checks=[response_schema_conformance])

        quick = settings(
            max_examples=25,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate],
        )
        quick(given(case=_cases(operation))(ask))()
    assert asked > 300
    return bad


def _cases(operation: Any) -> Any:
    from schemathesis import GenerationMode  # noqa: PLC0415

    strategy = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    if operation.body or list(operation.iter_parameters()):
        strategy |= operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    return strategy
