"""A sweep as a Ray job.

submission.py    submits a command to a cluster's dashboard over HTTP, follows its log and returns its exit code
node_check.py    asks the nodes, by a job before the sweep's, what they lack of what its config names
failures.py      says what the end of a job means: its exit code, the reason of a failure
upload.py        measures what a job uploads, and refuses more than Ray takes
"""
