"""Completes prompts: one file per generator.

Begin with base.py, which says what every generator must guarantee.

    base.py          the contract of a generator, models in use or wanted, and the cut at stop strings
    transformers.py  runs a transformers model, many completions at a time, smaller batches when memory runs out
    slots.py         the rows that it writes together, and their state
    written.py       what they have written, in arrays, and which of them a token may end
    loop.py          writes rows together, token by token, as they come and go
    beams.py         searches for the most likely texts of prompts, with several beams each
    patches.py       says how rows are patched, and tells patchers what each call of the model reads
    sampling.py      chooses the next token
    caches/          what a model remembers of rows, as keys and values, in a cache of its own, or as the whole text
    proof.py         proves on a loaded model that the logits are right
    rows.py          turns requests into rows of tokens, and written rows into completions
    vllm.py          runs vLLM's engine, adapters of one base together
    engine_weights.py  puts merged adapters and full models into a running vLLM engine, and proves that they are there
    environments.py  finds the Python environment that a generator such as vllm needs beside raysweep's
    openai.py        asks a served model through OpenAI's interface, patiently: waits, retries, refusals
    reference.py     answers with the reference solution of each problem
    fake.py          answers right on a share of the prompts, for tests and trials
"""
