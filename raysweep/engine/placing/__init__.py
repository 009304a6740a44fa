"""Decides where and in which order cells run, and never talks to Ray.

Start reading at places.py.

    places.py        decides which cell starts next, and which process gets resources next
    groups.py        decides on which type of accelerator the models of a group run
    nodes.py         what is known of a node: its resources and labels
    simulation.py    plays a sweep on a cluster by the decisions of places.py, without running it
    cluster_files.py reads the nodes that a file of `ray up` or of KubeRay can start
"""
