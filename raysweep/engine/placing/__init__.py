"""Decides where and in which order cells run, and never talks to Ray.

Start reading at places.py.

    cells.py         a cell that waits to be started: what it asks for, its expected hours
    fits.py          says what fits on the nodes of a cluster; refuses cells that fit on none, with what is lacking
    places.py        decides which cell starts next, and which waiting process gets a place
    queues.py        lines of cells that were not started yet, by the pools in which they may run
    room_on_nodes.py what is free on the nodes, and what is kept for processes that wait
    groups.py        decides on which type of accelerator the models of a group run
    nodes.py         what is known of a node: its resources and labels
"""
