"""Actors that keep base models, and their keeper, which knows which cell may go on.

host.py          an actor that keeps a base model and generates with any version of it
keeper.py        gives batches to hosts, starts and ends them, and says which cell or training is next
generation.py    generates completions through Ray Data, whose actors hand batches to hosts
order.py         has Tune start cells when and in the order in which the keeper of the hosts says
"""
