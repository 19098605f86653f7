"""Progress is a bar in a terminal and a few plain lines everywhere else."""

import io

import pytest
from rich.console import Console

from gradserve.cli.progress import Speed, follow


def job(step: int, **fields: object) -> dict[str, object]:
    started = "2026-01-01T00:00:00Z"
    return {
        "id": "job_1",
        "name": "[moons]",
        "state": "running",
        "terminal": False,
        "step": step,
        "steps": 1000,
        "loss": 1.5 / (step + 1),
        "accuracy": 0.5,
        "eta_seconds": 12.0,
        "started_at": started,
        "finished_at": None,
        "error": None,
        "spec": {"loss": {"kind": "max_margin"}},
    } | fields


def course() -> list[dict[str, object]]:
    waiting = job(0, state="queued", loss=None, accuracy=None, eta_seconds=None, started_at=None)
    ended = job(
        1000,
        state="succeeded",
        terminal=True,
        accuracy=1.0,
        eta_seconds=0.0,
        finished_at="2026-01-01T00:00:05.5Z",
    )
    return [waiting, *(job(step) for step in range(0, 1000, 20)), ended]


def shown(jobs: list[dict[str, object]], width: int = 100, **how: object) -> str:
    console = Console(file=io.StringIO(), width=width, **how)
    assert follow(jobs, console) is jobs[-1]
    return console.file.getvalue()


def test_without_a_terminal_there_is_a_line_for_each_state_and_each_tenth() -> None:
    lines = shown(course()).splitlines()
    assert [line.split()[0] for line in lines] == ["queued", *["running"] * 10, "succeeded"]
    assert [line.split()[2] for line in lines[1:11]] == [f"{k}/1,000" for k in range(0, 1000, 100)]
    assert lines[-1] == "succeeded  step 1,000/1,000  loss 0.0014985  accuracy 100.0 %  in 5.5 s"
    assert "steps/s  ETA 12.0 s" in lines[5]


def test_without_a_terminal_there_are_no_control_characters() -> None:
    assert "\x1b" not in shown(course())


@pytest.mark.parametrize("width", [60, 80, 120])
def test_in_a_terminal_there_is_a_bar_with_numbers_below(width: int) -> None:
    terminal = {"force_terminal": True, "color_system": None, "force_interactive": True}
    *_, bar, numbers, _ = shown(course(), width=width, **terminal).splitlines()
    for part in ("[moons]", "succeeded", "━━━━━", "step 1,000/1,000"):
        assert part in bar
    assert numbers.split("  ")[1:] == ["loss 0.0014985", "accuracy 100.0 %", "in 5.5 s"]


def test_controls_in_a_name_do_not_reach_the_terminal() -> None:
    jobs = [job(step, name="\x1b]0;a\x07[b]\x9b2J\u202e") for step in (1, 2)]
    text = shown(jobs, force_terminal=True, color_system=None, force_interactive=True)
    assert "\\x1b]0;a\\x07[b]\\x9b2J\\u202e" in text
    assert not [control for control in ("\x1b]", "\x07", "\x9b", "\u202e") if control in text]


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_can_be_turned_off(variables: dict[str, str]) -> None:
    text = shown(course(), force_terminal=True, _environ={"TERM": "xterm-256color"} | variables)
    assert "\x1b[3" not in text


def test_a_regression_shows_r_squared() -> None:
    text = shown([job(1, spec={"loss": {"kind": "mse"}}, accuracy=0.98765)])
    assert "R² 0.9877" in text


def test_the_rate_is_that_of_the_steps_seen() -> None:
    clock = iter([0.0, 0.5, 1.0, 30.0]).__next__
    speed = Speed(clock)
    rates = []
    for step in (100, 110, 140, 140):
        speed.saw(job(step))
        rates.append(speed.steps_per_second())
    assert rates == [None, 20.0, 40.0, None]


def test_a_job_that_is_taken_over_by_another_worker_starts_its_rate_again() -> None:
    clock = iter([0.0, 1.0, 2.0, 3.0]).__next__
    speed = Speed(clock)
    for step, state in ((0, "running"), (100, "running"), (100, "queued"), (110, "running")):
        speed.saw(job(step, state=state))
    assert speed.steps_per_second() == 10.0


def test_nothing_to_follow_is_an_error() -> None:
    with pytest.raises(ValueError, match="no job"):
        follow([], Console(file=io.StringIO()))
