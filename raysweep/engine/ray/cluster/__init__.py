"""The Ray that a sweep runs on: its start, its nodes, and what happens when it loses some.

cluster.py       connects to a Ray or starts one; places tasks on its nodes with the resources that they request
temp_folders.py  makes the folders of a Ray that raysweep starts, and removes those that killed processes left
nodes.py         asks Ray for its nodes, the autoscaler's state and the driver's labels
asking.py        asks every node the same question, such as what it lacks of what a config names
node_versions.py compares the nodes' versions with this process's before any work starts
shared_store.py  has every node read and write the store before any work starts, and compares clocks
node_watch.py    looks at the nodes' disks and memory while a sweep runs, checks late ones, and cordons some
cordons.py       says which nodes are cordoned, and excuses attempts that ended on them
probe.py         checks within seconds whether a Ray answers at an address, its versions, why it doesn't
ray_lost.py      stops the sweep or an actor when its Ray has died
drains.py        knows which nodes are announced to be taken away, and excuses attempts that ended for that
local_nodes.py   finds the nodes of Ray on this machine, and drains them
providers.py     asks a cloud's metadata server whether this machine's end is announced
idle.py          says what a sweep waits for while none of its tasks runs
lives.py         asks nodes whether processes of theirs live, and marks the activities of those that have died
orphans.py       frees placement groups of trials that died
"""
