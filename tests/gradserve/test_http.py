"""The client against a server that fails on purpose."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from gradserve.cli.main import main
from gradserve.client import Gradserve
from gradserve.errors import ClientError

Answer = tuple[int, dict[str, str], str]


class Scripted(ThreadingHTTPServer):
    """A server that gives its answers one after the other and repeats the last one."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[Answer] = []
        self.requests: list[str] = []
        self.keys: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def says(self, *answers: Answer) -> None:
        self.answers = list(answers)


class Handler(BaseHTTPRequestHandler):
    server: Scripted

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append(f"{self.command} {self.path}")
        if self.command == "POST":
            self.server.keys.append(self.headers["Idempotency-Key"])
        answers = self.server.answers
        status, headers, body = answers.pop(0) if len(answers) > 1 else answers[0]
        if status == 0:  # hangs up without an answer
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    do_POST = do_GET

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def client(server: Scripted) -> Iterator[Gradserve]:
    with Gradserve(server.url) as client:
        yield client


def job(**fields: object) -> Answer:
    document = {"id": "job_1", "state": "running", "terminal": False, "step": 0} | fields
    return 200, {"Retry-After": "0.1"}, json.dumps(document)


def problem(status: int, **fields: object) -> Answer:
    document = {"type": "about:blank", "title": "No", "status": status} | fields
    return status, {"Content-Type": "application/problem+json"}, json.dumps(document)


HANG_UP: Answer = (0, {}, "")


def test_a_read_is_repeated_while_the_service_is_busy_or_unavailable(
    server: Scripted, client: Gradserve
) -> None:
    server.says(problem(503), HANG_UP, job())
    assert client.get("job_1")["id"] == "job_1"
    assert server.requests == ["GET /v1/jobs/job_1"] * 3


def test_a_submission_is_repeated_with_the_same_key(server: Scripted, client: Gradserve) -> None:
    server.says(problem(503, detail="the database is locked"), HANG_UP, job())
    assert client.submit({})["id"] == "job_1"
    assert server.requests == ["POST /v1/jobs"] * 3
    assert len(server.keys) == 3
    assert len(set(server.keys)) == 1


def test_two_submissions_have_two_keys(server: Scripted, client: Gradserve) -> None:
    server.says(job())
    client.submit({})
    client.submit({})
    assert len(set(server.keys)) == 2


def test_retries_end_with_the_services_own_sentence(server: Scripted, client: Gradserve) -> None:
    server.says(problem(503, detail="the database is locked"))
    with pytest.raises(ClientError, match="the database is locked") as caught:
        client.get("job_1")
    assert caught.value.status == 503
    assert len(server.requests) > 3


def test_too_many_requests_are_repeated_after_the_time_that_the_service_names(
    server: Scripted, client: Gradserve
) -> None:
    status, headers, body = problem(429, detail="at most 5 requests per second")
    server.says((status, headers | {"Retry-After": "1"}, body), job())
    began = time.monotonic()
    assert client.get("job_1")["id"] == "job_1"
    assert time.monotonic() - began > 0.9
    server.says((status, headers | {"Retry-After": "60"}, body))
    began = time.monotonic()
    with pytest.raises(ClientError, match="at most 5 requests per second"):
        client.get("job_1")
    assert time.monotonic() - began < 0.9


def test_a_refused_read_is_not_repeated(server: Scripted, client: Gradserve) -> None:
    server.says(problem(404, detail="there is no job 'job_1'"))
    with pytest.raises(ClientError, match="there is no job 'job_1'"):
        client.get("job_1")
    assert len(server.requests) == 1


def test_watching_continues_over_a_restart(server: Scripted, client: Gradserve) -> None:
    server.says(job(step=1), HANG_UP, problem(503), job(step=2), job(step=3, terminal=True))
    assert [seen["step"] for seen in client.watch("job_1")] == [1, 2, 3]


def test_the_places_of_a_refused_job_are_told(server: Scripted, client: Gradserve) -> None:
    errors = [{"pointer": "/training/steps", "detail": "must be at least 1"}]
    server.says(problem(422, title="The job is not valid", errors=errors))
    with pytest.raises(ClientError) as caught:
        client.submit({})
    assert caught.value.errors[0].pointer == "/training/steps"
    assert str(caught.value) == "The job is not valid\n  /training/steps: must be at least 1"


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((200, {"Content-Type": "text/html"}, "<h1>It works!</h1>"), "is it another service"),
        ((200, {}, "[]"), "is it another service"),
        ((502, {}, "<h1>Bad Gateway</h1>"), "answered 502 Bad Gateway"),
        ((500, {}, '{"detail": 5, "errors": 7}'), "answered 500"),
        ((400, {}, "[]"), "answered 400"),
    ],
)
def test_an_answer_that_is_not_gradserves_is_told_from_one_that_is(
    server: Scripted, client: Gradserve, answer: Answer, sentence: str
) -> None:
    server.says(answer)
    with pytest.raises(ClientError, match=sentence):
        client.get("job_1")


def test_nobody_there_is_one_sentence_with_the_address_and_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with Gradserve(f"http://127.0.0.1:{port}") as client:
        assert not client.ready()
        with pytest.raises(ClientError, match=rf"127\.0\.0\.1:{port}.*`gradserve up`") as caught:
            client.get("job_1")
    assert caught.value.status is None


def test_a_service_that_does_not_answer_is_given_up() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        Gradserve(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.2) as client,
        pytest.raises(ClientError, match="did not answer in time"),
    ):
        client.get("job_1")


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://localhost", "http://", "http://a:b"])
def test_what_is_not_an_address_is_refused_at_once(url: str) -> None:
    with pytest.raises(ClientError, match="is not an address"):
        Gradserve(url)


def test_a_path_before_the_service_is_kept(server: Scripted) -> None:
    server.says(job())
    with Gradserve(f"{server.url}/train/") as client:
        client.get("job_1")
    assert server.requests == ["GET /train/v1/jobs/job_1"]


def test_a_proxy_does_not_stand_before_this_machine(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.says(job())
    with Gradserve(server.url) as client:
        assert client.get("job_1")["id"] == "job_1"


def test_an_id_cannot_lead_to_another_address(server: Scripted, client: Gradserve) -> None:
    server.says(job())
    client.get("../x?y#z")
    assert server.requests == ["GET /v1/jobs/..%2Fx%3Fy%23z"]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_likely_mistakes_are_printed_on_standard_error(
    server: Scripted, options: list[str]
) -> None:
    warning = {"pointer": "/model/layers/1", "detail": "a sigmoid \x1b before a loss of logits"}
    server.says((201, {}, json.dumps({"id": "job_1", "state": "queued", "warnings": [warning]})))
    example = Path(__file__).parents[2] / "examples" / "xor.json"
    result = CliRunner().invoke(main, ["submit", str(example), "--url", server.url, *options])
    assert result.exit_code == 0
    assert result.stderr == "warning: /model/layers/1: a sigmoid \\x1b before a loss of logits\n"


@pytest.mark.parametrize("fields", [{}, {"warnings": []}])
def test_a_submission_without_mistakes_warns_of_nothing(
    server: Scripted, fields: dict[str, object]
) -> None:
    server.says((201, {}, json.dumps({"id": "job_1", "state": "queued"} | fields)))
    example = Path(__file__).parents[2] / "examples" / "xor.json"
    result = CliRunner().invoke(main, ["submit", str(example), "--url", server.url])
    assert (result.exit_code, result.stdout, result.stderr) == (0, "job_1 is queued\n", "")
