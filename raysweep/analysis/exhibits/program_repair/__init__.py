"""Kinds that show models that repair programs, by regime: not fine-tuned, all weights, LoRA, IA3.

The regime of a model is the trainer of its recipe. A model that was chosen among those of a group stands for its group.
A patch that passes all tests is plausible; no number says that it is correct.

models.py         the models that repair, the pairs of them that are compared, and the keys of all kinds here
cases.py          compares two models on a problem set; counts cases won and lost, with an interval
regime_pairs.py   kind `regime-pairs`: tables of one regime against another, case by case and in sums
faulty_lines.py   kind `faulty-lines`: tables of prompts with the faulty lines against prompts without them
size_trend.py     kind `size-trend`: a figure of scores by the number of weights, and a table of its ends
regime_costs.py   kind `regime-costs`: tables of hours, memory and the share of weights that are trained
"""
