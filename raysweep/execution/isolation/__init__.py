"""Restricts what a program can reach and use, watches it while it runs, and removes what it leaves.

Only a slot's process uses these modules, except room.py, and cleanup.py and process_tree.py, which slots use after a
crash.

    layers.py        sets up namespaces, mounts, Landlock, seccomp and resource limits; tests that they hold
    landlock.py      restricts which files a program may open
    seccomp.py       restricts which system calls a program may make
    kernel.py        makes system calls that Python has no functions for
    box.py           holds a program's files and output, checks their size, and empties them afterwards
    watch.py         waits for a process, reads its reports, kills it when it exceeds its wall or CPU time
    keeper.py        ends a slot's processes when its owner is gone, or when a judge works too long
    capacity.py      finds out whether the machine has room for what a program's limits allow
    room.py          waits where the machine has no room for another process
    threads.py       limits how many threads a program can have
    process_tree.py  finds, measures and kills all processes below a process
    cleanup.py       removes folders of any depth and mode
"""
