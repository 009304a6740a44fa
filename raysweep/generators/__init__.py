"""Completes prompts: one file per generator.

Begin with base.py, which says what every generator must guarantee.

    base.py          the contract of a generator, models in use or wanted, and the cut at stop strings
    transformers.py  runs a transformers model, many completions at a time, smaller batches when memory runs out
    writing/         how it writes rows together, token by token, and searches with beams
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
