"""`python -m service.run.probe ROLE` says whether a part of the service works: a health check.

It runs every few seconds in every container, so it imports little. The exit code is for the
supervisor, the sentence for whoever looks at the container.
"""

from __future__ import annotations

import json
import os
import sys
from http.client import HTTPConnection, HTTPException

from service.common.heartbeat import beats

PORT = 8000
TIMEOUT_SECONDS = 4.0


def main(role: str) -> int:
    complaint = api(PORT) if role == "api" else heart(os.environ["GRADSERVE_HEARTBEAT_FILE"])
    print(complaint or "ok")
    return 1 if complaint else 0


def api(port: int) -> str:
    """What the API says that it lacks; empty when it is ready."""
    connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, HTTPException) as error:
        return f"the API does not answer: {error}"
    finally:
        connection.close()
    return "" if answer.status == 200 else str(json.loads(text)["detail"])


def heart(file: str) -> str:
    """What a missing heartbeat means; empty while there is one."""
    return "" if beats(file) else "no heartbeat: it is starting, hangs, or has lost its broker"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
