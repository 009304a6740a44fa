"""Actors that keep base models, and their keeper, which knows which cell may go on.

keeper.py        keeps base models in actors that generate with any version of them
generation.py    generates completions through Ray Data, whose actors hand batches to hosts
order.py         has Tune start cells when and in the order in which the keeper of the hosts says
"""
