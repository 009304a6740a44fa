"""Kind ``choice``: which model to choose for a kind of prompts, how sure that is, and what to do next.

choice.py     the kind: a table of the models with the highest pass@1, and the conclusion in words
candidates.py finds the models that may be chosen, and bootstraps them
advice.py     says which model to choose, how sure that is, what it costs and what to do next
choice.jinja  the words where there are several models
alone.jinja   the words where there is one
"""
