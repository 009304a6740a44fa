"""One file per architecture: its LoRA targets, its embeddings and a small config.

A family is registered under its `model_type` in transformers.

    base.py          the contract of a model family, and their registry
    llama.py         Llama, CodeLlama, DeepSeek-Coder
    gpt_bigcode.py   StarCoderBase
    codegen.py       CodeGen
"""
