"""How the HTTP server hands a request that it refuses to the app, so that all answers are alike."""

from __future__ import annotations

REFUSAL = "gradserve.refusal"
"""The key of a WSGI environ under which the reason lies, an HTTPException of Werkzeug."""
