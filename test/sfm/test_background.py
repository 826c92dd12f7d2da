"""Jobs beside the frames."""

import subprocess
import sys
import threading
import time

import pytest

from endosfm3d_ros.runtime.timing import Slack
from endosfm3d_ros.runtime.worker import Background


def test_an_answer_is_taken_once_and_a_second_job_waits_for_it():
    jobs = Background(threaded=True)
    may_end = threading.Event()
    assert jobs.submit(lambda: may_end.wait(30) and 7)
    assert not jobs.submit(lambda: 8)
    assert jobs.take() is None
    may_end.set()
    assert waited_for(jobs) == 7
    assert jobs.take() is None
    assert not jobs.busy


def test_a_forgotten_answer_is_not_handed_out():
    jobs = Background(threaded=False)
    jobs.submit(lambda: 7)
    jobs.forget()
    assert jobs.take() is None
    assert jobs.submit(lambda: 8)
    assert jobs.take() == 8


@pytest.mark.parametrize("threaded", [False, True])
def test_what_a_job_raises_is_said_and_costs_no_frame(threaded, caplog):
    """The frame during which an answer is taken is not the one that the job was made of."""

    def fail():
        raise ValueError("no parallax")

    jobs = Background(threaded, name="adjustment")
    for count in (1, 2):
        assert not jobs.failed
        jobs.submit(fail)
        assert waited_for(jobs) is None
        assert jobs.failed
        assert jobs.note == f"adjustment failed {count} times, at last by ValueError: no parallax"
        assert jobs.take() is None
    assert caplog.text.count("Traceback") == 1
    jobs.submit(lambda: 7)
    assert waited_for(jobs) == 7


def test_the_interpreter_ends_after_a_running_job():
    """Compiled code that still computes while the interpreter ends would abort the process."""
    program = (
        "import time; from endosfm3d_ros.runtime.worker import Background;"
        "Background(True).submit(lambda: (time.sleep(0.5), print('computed')))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "computed\n")


def waited_for(jobs: Background):
    while jobs.busy:
        answer = jobs.take()
        if answer is not None:
            return answer
    return None


@pytest.mark.parametrize("scarce", [True, False])
def test_a_job_that_had_to_wait_for_a_core_lets_the_frames_go_first(scarce):
    slack = Slack()
    slack.seconds = 0.0 if scarce else 0.1
    jobs = Background(threaded=True, rest=4.0, slack=slack)
    assert jobs.submit(lambda: time.sleep(0.1) or "done")
    assert waited_for(jobs) == "done"
    assert jobs.busy == scarce
    time.sleep(0.6 * scarce)
    assert not jobs.busy and jobs.submit(lambda: None)


def test_what_is_computed_at_once_does_not_depend_on_the_load_of_the_machine():
    jobs = Background(threaded=False, rest=1000.0, slack=Slack())
    assert Slack().scarce
    for count in range(3):  # each job waits for a core, as on a busy machine
        assert jobs.submit(lambda count=count: time.sleep(0.01) or count)
        assert jobs.take() == count
        assert not jobs.busy
