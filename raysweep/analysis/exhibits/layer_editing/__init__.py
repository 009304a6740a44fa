"""Kinds that show models edited from one edit example each (CREME, ROME, DINM, LoRA), and Self-Denoising beside them.

Means are over the pairs of a category, with intervals over pairs; a pair without a model counts as ended, never as 0.

sums.py         sums up edits and rewritten prompts: the share of a category restored, clean accuracy
edit_scores.py  kind `edit-scores`: a table of these numbers, by model, category, and method or block
edit_transfer.py kind `edit-transfer`: a table of what edits restore of other categories than their examples'
edit_rows.py    kinds `edit-rows`, a row for each edit, and `edit-ends`, how edits ended, `edit-costs`, what they took
block_map.py    kind `block-map`: a figure of where the blocks that were found lie, with its tests
block_heat.py   kind `block-heat`: a figure of what patching each block restores, by category
rewritten.py    kind `rewritten-prompts`: a table of the prompts that a model rewrote
edit_pages.py   kind `edit-pages`: the page of each pair: prompts, blocks, completions before and after
"""
