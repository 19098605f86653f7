"""Numbers and times in a form for people."""

from typing import Any

import pytest

from gradserve.cli import formatting


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "-"), (0.0123, "0.01 s"), (9.96, "10.0 s"), (59.9, "59.9 s"), (245, "4:05"),
     (3599.7, "1:00:00"), (3723, "1:02:03")],
)  # fmt: skip
def test_durations(seconds: float | None, shown: str) -> None:
    assert formatting.duration(seconds) == shown


@pytest.mark.parametrize(
    ("steps_per_second", "shown"),
    [(0.25, "0.2 steps/s"), (24.13, "24.1 steps/s"), (1234567.8, "1,234,568 steps/s")],
)
def test_rates(steps_per_second: float, shown: str) -> None:
    assert formatting.rate(steps_per_second) == shown


@pytest.mark.parametrize(
    ("loss", "accuracy", "shown"),
    [
        ("max_margin", None, "-"),
        ("max_margin", 0.98765, "98.8 %"),
        ("mse", None, "-"),
        ("mse", 0.98765, "0.9877"),
        ("huber", -9999.5, "-9999.5000"),
        ("mse", -1e4, "-1e+04"),
        ("mae", -1.23456e280, "-1.235e+280"),
    ],
)
def test_scores(loss: str, accuracy: float | None, shown: str) -> None:
    name = formatting.score_name({"spec": {"loss": {"kind": loss}}})
    assert formatting.score(accuracy, name) == shown


def test_figures_of_the_delivered_parameters_come_before_the_last_logged_ones() -> None:
    logged = {"loss": 0.25, "accuracy": 0.5, "validation_loss": None, "validation_accuracy": None}
    final = {"step": 9, "loss": 0.125, "accuracy": 1.0}
    final |= {"validation_loss": 0.5, "validation_accuracy": 0.75}
    job = {"step": 10, **logged}
    assert formatting.figures(formatting.delivered(job), "accuracy") == (
        "loss 0.25, accuracy 50.0 %"
    )
    assert formatting.figures(formatting.delivered(job | {"final": final}), "accuracy") == (
        "loss 0.125, accuracy 100.0 %; validation loss 0.5, accuracy 75.0 %"
    )


def test_a_failed_job_says_why() -> None:
    error = {"code": "diverged", "detail": "the loss became infinite", "step": 7}
    job = {"id": "job_1", "state": "failed", "step": 7, "error": error}
    assert formatting.failure(job) == "job_1 failed (diverged): the loss became infinite"


def test_a_cancelled_job_says_how_far_it_came() -> None:
    job = {"id": "job_1", "state": "cancelled", "step": 1200, "error": None}
    assert formatting.failure(job) == "job_1 was cancelled at step 1,200"


@pytest.mark.parametrize("state", ["queued", "running", "paused", "succeeded"])
def test_any_other_job_has_not_failed(state: str) -> None:
    assert formatting.failure({"id": "job_1", "state": state, "step": 0, "error": None}) is None


@pytest.mark.parametrize(
    ("others", "shown"),
    [
        ("Prüfung 训练 👩‍🚀 [b]\\", "Prüfung 训练 👩‍🚀 [b]\\"),
        ("\x1b[2Ja\tb\n", "\\x1b[2Ja\\x09b\\x0a"),
        ("\x00\x1f\x7f\x9b31m\x9f", "\\x00\\x1f\\x7f\\x9b31m\\x9f"),
        ("gnp.\u202eexe\u2066\u200f", "gnp.\\u202eexe\\u2066\\u200f"),
        ("a\u2028b", "a\\u2028b"),
    ],
)
def test_controls_in_the_text_of_others_are_shown_not_obeyed(others: str, shown: str) -> None:
    assert formatting.printable(others) == shown
    assert formatting.printable(shown) == shown


def test_controls_in_the_reason_of_a_failure_are_shown() -> None:
    error = {"code": "invalid", "detail": "no column '\x1b[2J'", "step": None}
    job = {"id": "job_1", "state": "failed", "step": 0, "error": error}
    assert formatting.failure(job) == "job_1 failed (invalid): no column '\\x1b[2J'"


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("accuracy", 0.98, "98.0 %"),
        ("R²", 0.98, "R² 0.9800"),
        ("R²", -5e299, "R² -5e+299"),
        ("R²", None, "-"),
        (None, 0.98, "0.98"),
    ],
)
def test_a_list_names_what_the_score_is(name: str | None, value: float | None, shown: str) -> None:
    job: Any = {"score_name": name, "accuracy": value}
    assert formatting.listed_score(job) == shown
