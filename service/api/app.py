"""The HTTP service: an application made from settings."""

from __future__ import annotations

from typing import Any

from flask.json.provider import DefaultJSONProvider
from flask_openapi3.openapi import OpenAPI

from service.api import (
    artifacts,
    auth,
    context,
    hosts,
    metrics,
    openapi,
    origins,
    paths,
    problems,
    proxies,
    query_parameters,
    rate_limits,
    request_log,
    security_headers,
)
from service.api.json_bodies import StrictRequest
from service.api.json_bodies import register as register_bodies
from service.api.resources import (
    evaluation,
    events,
    health,
    history,
    models,
    parameters,
    plots,
    predictions,
    rows,
    submissions,
    uploads,
)
from service.common.settings import Settings


class Json(DefaultJSONProvider):
    """Answers as standard JSON: keys in the order of the contract, never NaN."""

    sort_keys = False
    compact = True

    def dumps(self, obj: Any, **options: Any) -> str:
        return super().dumps(obj, allow_nan=False, **options)


class App(OpenAPI):
    request_class = StrictRequest
    json_provider_class = Json


def create_app(settings: Settings) -> OpenAPI:
    """The app; it needs neither database nor broker to start."""
    app = App(
        "service",
        info=openapi.INFO,
        doc_ui=False,
        validation_error_model=problems.Problem,
        validation_error_callback=problems.validation_failed,
    )
    # A doubled slash is a mistake like any other, not a redirect to what the Host header names.
    app.url_map.merge_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    database = context.attach(app, settings).database
    proxies.register(app, settings)
    request_log.register(app, metrics.register(app, database))
    security_headers.register(app)
    paths.register(app)
    hosts.register(app, settings)
    origins.register(app, settings)
    problems.register(app)
    auth.register(app, settings)
    rate_limits.register(app, settings, auth.sender)
    register_bodies(app, settings)
    artifacts.register(app, settings)
    for blueprint in (
        submissions.blueprint,  # that of the jobs, with the route by which they are submitted
        history.blueprint,
        parameters.blueprint,
        models.blueprint,
        plots.blueprint,
        predictions.blueprint,
        evaluation.blueprint,
        rows.blueprint,
        events.blueprint,
        uploads.blueprint,  # that of the data sets, with the route by which they are uploaded
        health.blueprint,
    ):
        app.register_api(blueprint)
    query_parameters.register(app, openapi.register(app, keys=settings.auth != "off"))
    return app
