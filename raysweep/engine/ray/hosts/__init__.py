"""Actors that keep base models, and their keeper, which knows which cell may go on.

host.py          an actor that keeps a base model and generates with any version of it
running.py       starts hosts once they have a place, and ends those that nobody needs
dispatcher.py    gives batches to hosts, starts spare ones, counts their deaths
keeper.py        the actor that says which cell or training is next, grants places and watches the nodes
generation.py    generates completions through Ray Data, whose actors hand batches to hosts
order.py         has Tune start cells when and in the order in which the keeper of the hosts says
reuse.py         has Tune run cells one after another in the same process
"""
