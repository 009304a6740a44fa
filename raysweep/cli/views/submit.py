"""Prints the command of a job, what nodes lack, the job's log, and how to reach a job that goes on.

The log goes to stdout, everything else to stderr.
"""

from __future__ import annotations

import shlex
import sys

from raysweep.cli.exit import invocation
from raysweep.cli.views.console import new_console
from raysweep.sweep.submit import Submission


def print_job(submission: Submission) -> None:
    console = new_console(stderr=True)
    for note in submission.notes:
        console.print(note, soft_wrap=True)
    console.print(f"uploads {submission.uploaded}, and runs:\n  {submission.job.command}", soft_wrap=True)


def follow_job(submission: Submission, sweep: str) -> int:
    """Ask the nodes what they lack, send a job, print its log until it ends, and return its exit code.

    Once it is sent, Ctrl-C ends this process alone, and says how to reach the job.
    """
    console, address = new_console(stderr=True), submission.job.address
    for note in submission.check_nodes():
        console.print(note, soft_wrap=True)
    job_id = submission.send()
    reach = (
        f"  ray job logs --address {address} --follow {job_id}\n"
        f"  raysweep status {sweep} --storage {shlex.quote(submission.storage)}\n"
        f"  ray job stop --address {address} {job_id}"
    )
    invocation.goes_on = f"job {job_id} goes on; to follow it, to see how far it is, to stop it:\n{reach}"
    console.print(f"job {job_id} is submitted; Ctrl-C leaves it running\n", soft_wrap=True)
    for text in submission.log(job_id):
        sys.stdout.write(text)
        sys.stdout.flush()
    ended = submission.end(job_id)
    if ended.code:
        problem = f": {ended.problem}" if ended.problem else ""
        console.print(f"\njob {job_id} ended with exit code {ended.code}{problem}", soft_wrap=True)
    return ended.code
