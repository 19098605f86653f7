"""Upgrades, backups and the removal of the stack. Each step returns a description of its result."""

from __future__ import annotations

import shutil
import time

from tests.compose import jobs
from tests.compose.checks import expect
from tests.compose.jobs import LONG, SEEDS, SHORT
from tests.compose.refusals import sentence
from tests.compose.stack import ROOT, docker
from tests.compose.world import World, busy_worker, tables

QUEUED = 100

MIGRATION = '''"""Adds a column that nothing reads, as an upgrade may do."""

import sqlalchemy as sa
from alembic import op

revision = "compose_test"
down_revision = "{head}"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("colour", sa.Text()))
'''


def next_version_built(world: World) -> str:
    stack = world.stack
    source = stack.folder / "next"
    source.mkdir()
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    wanted = [line.removeprefix("!") for line in allowed if line.startswith("!")]
    for name in ("Dockerfile", ".dockerignore", *wanted):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, source / name)
    (head,) = stack.sql("SELECT version_num FROM alembic_version")
    migration = source / "migrations/versions/compose_test.py"
    migration.write_text(MIGRATION.format(head=head))
    started = time.monotonic()
    docker("build", "--network", stack.build_network, "--tag", stack.image_of(2), str(source))
    return f"rebuilt in {time.monotonic() - started:.1f} s"


def upgraded(world: World) -> str:
    stack = world.stack
    with stack.client() as client:
        jobs.submit(client, "running", SEEDS, LONG)
        jobs.submit(client, "queued", SEEDS * (QUEUED // len(SEEDS)), SHORT)
    busy_worker(stack)
    stack.use_image(2)
    stack.up()
    (schema,) = stack.sql("SELECT version_num FROM alembic_version")
    expect(schema == "compose_test", f"the schema is {schema}")
    (left,) = stack.sql("SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')")
    expect(int(left) > 0, "no job was left for the new version")
    with stack.client() as client:
        jobs.wait(client, "running", len(SEEDS), 300)
        jobs.wait(client, "queued", QUEUED, 300)
        world.long.check(client, "running", len(SEEDS))
        world.short.check(client, "queued", QUEUED)
    return f"the old version left {left} of {QUEUED + len(SEEDS)} jobs, the new one ended them"


def old_version_refused(world: World) -> str:
    stack = world.stack
    stack.use_image(1)
    done = stack.compose("run", "--rm", "--no-TTY", "--no-deps", "api", check=False)
    stack.use_image(2)
    expect(done.returncode == 1, f"it ended with {done.returncode}")
    return sentence((done.stdout + done.stderr).splitlines(), "schema revision compose_test")


def backed_up(world: World) -> str:
    stack = world.stack
    dump = stack.folder / "gradserve.dump"
    inside = ("exec", "--no-TTY", "postgres")
    with dump.open("wb") as output:
        stack.compose(*inside, "pg_dump", "--username=gradserve", "--format=custom", stdout=output)
    before = tables(stack)
    stack.compose("down", "--volumes")
    stack.up("postgres")
    with dump.open("rb") as given:
        stack.compose(
            *inside,
            "pg_restore",
            "--username=gradserve",
            "--dbname=gradserve",
            "--exit-on-error",
            stdin=given,
        )
    stack.up()
    after = tables(stack)
    expect(before == after, f"before {before}, after {after}")
    with stack.client() as client:
        jobs.submit(client, "restored", SEEDS, SHORT)
        jobs.wait(client, "restored", len(SEEDS), 120)
        world.short.check(client, "restored", len(SEEDS))
    rows = {table: text.partition("|")[0] for table, text in before.items()}
    return (
        f"a dump of {dump.stat().st_size / 1e6:.1f} MB restored {rows['jobs']} jobs and "
        f"{rows['history']} steps, and the service trained new jobs"
    )


def taken_down(world: World) -> str:
    world.stack.compose("down", "--volumes")
    left = world.stack.leftovers()
    expect(not left, f"still there: {left}")
    return "no container, volume or network is left"
