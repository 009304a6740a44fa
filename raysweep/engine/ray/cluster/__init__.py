"""The Ray that a sweep runs on: its start, its nodes, and what happens when it loses some.

cluster.py       connects to a Ray or starts one; computes the resources that tasks request
nodes.py         asks Ray for its nodes
node_versions.py compares the nodes' versions with this process's before any work starts
probe.py         checks within seconds whether a Ray answers at an address, and its versions
ray_lost.py      stops the sweep or an actor when its Ray has died
drains.py        knows which nodes are announced to be taken away, and excuses attempts that ended for that
orphans.py       frees placement groups of trials that died
stalls.py        reports which resources a waiting sweep lacks
"""
