"""The pattern of the route that a request has matched, as the OpenAPI document writes it."""

from __future__ import annotations

import re

from flask import request

# `<string:id>` in a rule of Flask is `{id}` in the document.
CONVERTER = re.compile(r"<(?:\w+:)?(\w+)>")


def matched_pattern() -> str | None:
    """For example `/v1/jobs/{id}`; None where the request has matched no route."""
    if request.url_rule is None:
        return None
    return CONVERTER.sub(r"{\1}", request.url_rule.rule)
