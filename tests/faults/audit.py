"""Triggers that record forbidden changes, and all changes of state, as the database sees them.

Training is deterministic, so a step that two workers write, one after the other, leaves the same
numbers as a step written once. Only the database can see the second write. Only tests install
the triggers. The triggers record and never refuse, so the tests show what the service itself
prevents.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, text
from sqlalchemy.orm import Session

from service.store.states import TERMINAL, TRANSITIONS
from service.store.tables import Base

ARROWS = sorted(f"'{a}>{b}'" for a, following in TRANSITIONS.items() for b in following)
ENDED = ", ".join(sorted(f"'{state}'" for state in TERMINAL))


class Rule(NamedTuple):
    """A forbidden change of one row: the audit records `what` if the condition `when` is true."""

    what: str
    change: str
    table: str
    when: str = "1 = 1"


# `{writer}` is the fence of the claim that writes, set by `writing_as`; null outside of claims.
RULES = (
    Rule(
        "forbidden transition",
        "UPDATE",
        "jobs",
        f"OLD.state <> NEW.state AND OLD.state || '>' || NEW.state NOT IN ({', '.join(ARROWS)})",
    ),
    Rule("change of a job that has ended", "UPDATE", "jobs", f"OLD.state IN ({ENDED})"),
    Rule("step went back", "UPDATE", "jobs", "NEW.step < OLD.step"),
    Rule(
        "step of a job that nobody runs",
        "UPDATE",
        "jobs",
        "NEW.step <> OLD.step AND OLD.state <> 'running'",
    ),
    Rule(
        "claim without the next fence",
        "UPDATE",
        "jobs",
        "OLD.state <> 'running' AND NEW.state = 'running' AND NEW.fence <> OLD.fence + 1",
    ),
    Rule(
        "fence changed without a claim",
        "UPDATE",
        "jobs",
        "NEW.fence <> OLD.fence AND NOT (OLD.state = 'queued' AND NEW.state = 'running')",
    ),
    Rule("written by a claim that is over", "UPDATE", "jobs", "{writer} <> OLD.fence"),
    Rule(
        "accepted cancel forgotten",
        "UPDATE",
        "jobs",
        "COALESCE(OLD.desired_state, '') = 'cancelled' "
        "AND COALESCE(NEW.desired_state, NEW.state) <> 'cancelled'",
    ),
    Rule(
        "another job in its place",
        "UPDATE",
        "jobs",
        "OLD.id <> NEW.id OR OLD.spec <> NEW.spec OR OLD.steps <> NEW.steps",
    ),
    Rule("job removed", "DELETE", "jobs"),
    Rule("step written again", "UPDATE", "history"),
    Rule("step removed", "DELETE", "history"),
    Rule("checkpoint written again", "UPDATE", "checkpoints"),
    Rule("parameters written again", "UPDATE", "results"),
    Rule("parameters removed", "DELETE", "results"),
    Rule("event written again", "UPDATE", "events"),
    Rule("event removed", "DELETE", "events"),
)

TABLES = (
    "CREATE TABLE audit_faults (what text NOT NULL, job bigint NOT NULL, detail text)",
    # Each change of a state as the database saw it, timed by a clock that no test sets.
    "CREATE TABLE audit_states (job bigint NOT NULL, at double precision NOT NULL, "
    "state text NOT NULL, fence integer NOT NULL, step integer NOT NULL, {number})",
    "CREATE INDEX audit_states_job ON audit_states (job)",
    # How many seconds the clock that the service reads is ahead.
    "CREATE TABLE audit_clock (ahead double precision NOT NULL)",
    "INSERT INTO audit_clock VALUES (0)",
)

SQLITE_NUMBER = "number integer PRIMARY KEY"
POSTGRES_NUMBER = "number bigint GENERATED ALWAYS AS IDENTITY"

# SQLite has one writer at a time, so one row says which claim it is.
SQLITE_WRITER = "(SELECT fence FROM audit_writer)"
SQLITE = (
    "CREATE TABLE audit_writer (fence integer)",
    "INSERT INTO audit_writer VALUES (NULL)",
    """CREATE TRIGGER audit_ahead AFTER INSERT ON history
    WHEN NEW.step > (SELECT step FROM jobs WHERE pk = NEW.job)
    BEGIN INSERT INTO audit_faults VALUES ('history ahead of its job', NEW.job, NEW.step); END""",
    """CREATE TRIGGER audit_replaced BEFORE INSERT ON history
    WHEN EXISTS (SELECT 1 FROM history WHERE job = NEW.job AND step = NEW.step)
    BEGIN INSERT INTO audit_faults VALUES ('step written again', NEW.job, NEW.step); END""",
    """CREATE TRIGGER audit_result AFTER INSERT ON results
    WHEN (SELECT state FROM jobs WHERE pk = NEW.job) <> 'succeeded'
    BEGIN
      INSERT INTO audit_faults VALUES ('parameters of an unfinished job', NEW.job, NULL);
    END""",
    """CREATE TRIGGER audit_state AFTER UPDATE OF state ON jobs WHEN OLD.state <> NEW.state
    BEGIN
      INSERT INTO audit_states
        SELECT NEW.pk, (julianday('now') - 2440587.5) * 86400, NEW.state, NEW.fence, NEW.step, NULL;
    END""",
    """CREATE TRIGGER audit_new AFTER INSERT ON jobs
    BEGIN
      INSERT INTO audit_states
        SELECT NEW.pk, (julianday('now') - 2440587.5) * 86400, NEW.state, NEW.fence, NEW.step, NULL;
    END""",
)
SQLITE_RULE = """CREATE TRIGGER {name} AFTER {change} ON {table} WHEN {when}
    BEGIN INSERT INTO audit_faults VALUES ('{what}', {job}, {detail}); END"""

POSTGRES_WRITER = "NULLIF(current_setting('audit.fence', true), '')::integer"
POSTGRES = (
    """CREATE FUNCTION audit_fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO audit_faults VALUES
        (TG_ARGV[0], (to_jsonb(OLD) ->> TG_ARGV[1])::bigint,
         concat(to_jsonb(OLD) - 'spec' - 'data', ' > ', to_jsonb(NEW) - 'spec' - 'data'));
      RETURN NULL; END $$""",
    # One statement per COPY and not per row, so that a million rows stay quick.
    """CREATE FUNCTION audit_ahead() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO audit_faults SELECT 'history ahead of its job', job, max(inserted.step)::text
        FROM inserted JOIN jobs ON pk = job WHERE inserted.step > jobs.step GROUP BY job;
      RETURN NULL; END $$""",
    """CREATE TRIGGER audit_ahead AFTER INSERT ON history REFERENCING NEW TABLE AS inserted
      FOR EACH STATEMENT EXECUTE FUNCTION audit_ahead()""",
    """CREATE FUNCTION audit_result() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO audit_faults SELECT 'parameters of an unfinished job', pk, state
        FROM jobs WHERE pk = NEW.job AND state <> 'succeeded';
      RETURN NULL; END $$""",
    """CREATE TRIGGER audit_result AFTER INSERT ON results
      FOR EACH ROW EXECUTE FUNCTION audit_result()""",
    """CREATE FUNCTION audit_state() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO audit_states VALUES
        (NEW.pk, extract(epoch from clock_timestamp()), NEW.state, NEW.fence, NEW.step);
      RETURN NULL; END $$""",
    """CREATE TRIGGER audit_state AFTER UPDATE ON jobs FOR EACH ROW
      WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION audit_state()""",
    "CREATE TRIGGER audit_new AFTER INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION audit_state()",
)
POSTGRES_RULE = """CREATE TRIGGER {name} AFTER {change} ON {table} FOR EACH ROW WHEN ({when})
    EXECUTE FUNCTION audit_fault('{what}', '{key}')"""


def install(engine: Engine) -> None:
    """Adds the triggers and their tables to a migrated database."""
    sqlite = engine.dialect.name == "sqlite"
    with engine.begin() as connection:
        number = SQLITE_NUMBER if sqlite else POSTGRES_NUMBER
        tables = [table.replace("{number}", number) for table in TABLES]
        for statement in (*tables, *(SQLITE if sqlite else POSTGRES)):
            connection.exec_driver_sql(statement)
        for i, rule in enumerate(RULES):
            template = SQLITE_RULE if sqlite else POSTGRES_RULE
            key = "pk" if rule.table == "jobs" else "job"
            statement = template.format(
                **rule._asdict()
                | {"when": rule.when.format(writer=SQLITE_WRITER if sqlite else POSTGRES_WRITER)},
                name=f"audit_rule_{i}",
                key=key,
                job=f"OLD.{key}",
                detail="OLD.step" if rule.table in ("jobs", "history") else "NULL",
            )
            connection.exec_driver_sql(statement)


@contextmanager
def writing_as(session: Session, fence: int) -> Iterator[None]:
    """Tells the triggers which claim writes in this transaction."""
    _announce(session.connection(), fence)
    yield
    _announce(session.connection(), None)


def _announce(connection: Connection, fence: int | None) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("UPDATE audit_writer SET fence = ?", (fence,))
    else:
        value = "" if fence is None else str(fence)
        connection.exec_driver_sql("SELECT set_config('audit.fence', %s, true)", (value,))


class Fault(NamedTuple):
    """A forbidden change that took place."""

    what: str
    job: int
    detail: str | None


def faults(session: Session) -> list[Fault]:
    """The faults that the triggers have recorded so far."""
    rows = session.execute(text("SELECT what, job, detail FROM audit_faults")).all()
    return [Fault(*row) for row in rows]


class Seen(NamedTuple):
    """A state that a job entered."""

    at: float
    state: str
    fence: int
    step: int


def states(session: Session, job: int) -> list[Seen]:
    """Every state the job was in, in order. `at` is real time, not the service's clock."""
    rows = session.execute(
        text("SELECT at, state, fence, step FROM audit_states WHERE job = :job ORDER BY number"),
        {"job": job},
    ).all()
    return [Seen(*row) for row in rows]


def set_clock(session: Session, ahead: float) -> None:
    """Sets the clock that the service reads to `ahead` seconds later than the real one."""
    session.execute(text("UPDATE audit_clock SET ahead = :ahead"), {"ahead": ahead})


def start_again(session: Session) -> None:
    """Empties every table."""
    for table in reversed(Base.metadata.sorted_tables):
        session.execute(table.delete())
    for name in ("audit_faults", "audit_states"):
        session.execute(text(f"DELETE FROM {name}"))


def forgive(session: Session, what: str, job: int) -> None:
    """Removes the record of a change that the test itself made."""
    values: dict[str, Any] = {"what": what, "job": job}
    session.execute(text("DELETE FROM audit_faults WHERE what = :what AND job = :job"), values)
