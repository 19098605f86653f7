"""A Python client of the service.

from gradserve import Gradserve

with Gradserve("http://127.0.0.1:8000") as service:
    job = service.jobs.create(spec)
    for job in service.jobs.watch(job["id"]):
        print(job["step"], job["loss"])
    print(service.jobs.predict(job["id"], [[0.5, -1.0]]))
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from gradserve import credentials
from gradserve import jobs as resources
from gradserve.datasets import DatasetsClient
from gradserve.defaults import DEFAULT_URL
from gradserve.http import Transport
from gradserve.types import History, Job, Jobs, Parameters, SubmittedJob


class Gradserve:
    """One service. Safe to use from several threads; close it, or use it in a `with` block.

    `datasets` has the data sets that it stores.

    Every method raises `gradserve.ClientError` when the service cannot be reached, refuses the
    request or fails; its text is meant for a person.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        insecure_http: bool = False,
        timeout: float = 10.0,
    ) -> None:
        """A client of the service at `url`.

        Args:
            api_key: the key, if the service needs one. By default that of GRADSERVE_API_KEY, or
                the one that `gradserve login` has stored for this address.
            insecure_http: whether a key may be sent over plain http to another machine, where
                whoever sees the traffic can read it.
            timeout: seconds to wait for an answer.
        """
        key = api_key or credentials.find(url)
        self._http = Transport(url, timeout, key, insecure_http=insecure_http)
        self.url = self._http.url
        self.jobs = resources.Jobs(self._http)
        self.datasets = DatasetsClient(self._http)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def ready(self) -> bool:
        """Whether every part of the service works. False also when nothing responds."""
        return self._http.answers("/readyz")

    # The methods below are those of `jobs` under their names of version 0.1.

    def submit(
        self, spec: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> SubmittedJob:
        """As `jobs.create`."""
        return self.jobs.create(spec, idempotency_key=idempotency_key)

    def get(self, id: str) -> Job:
        """As `jobs.retrieve`."""
        return self.jobs.retrieve(id)

    def cancel(self, id: str) -> Job:
        """As `jobs.cancel`."""
        return self.jobs.cancel(id)

    def pause(self, id: str) -> Job:
        """As `jobs.pause`."""
        return self.jobs.pause(id)

    def resume(self, id: str) -> Job:
        """As `jobs.resume`."""
        return self.jobs.resume(id)

    def delete(self, id: str) -> None:
        """As `jobs.delete`."""
        self.jobs.delete(id)

    def list(self, *, limit: int = 20, state: str | None = None, name: str | None = None) -> Jobs:
        """As `jobs.list`."""
        return self.jobs.list(limit=limit, state=state, name=name)

    def history(self, id: str, *, after_step: int = -1) -> History:
        """As `jobs.history`."""
        return self.jobs.history(id, after_step=after_step)

    def parameters(self, id: str, *, step: int | str | None = None) -> Parameters:
        """As `jobs.parameters`."""
        return self.jobs.parameters(id, step=step)

    def watch(self, id: str) -> Iterator[Job]:
        """As `jobs.watch`."""
        return self.jobs.watch(id)


class Client(Gradserve):
    """The old name of `Gradserve`; deprecated, kept for one version."""

    def __init__(self, url: str = DEFAULT_URL, *, timeout: float = 10.0) -> None:
        message = "gradserve.client.Client is now called Gradserve: from gradserve import Gradserve"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        super().__init__(url, timeout=timeout)
