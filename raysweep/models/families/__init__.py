"""One file per architecture: its LoRA targets, its embeddings, where its blocks lie, and a small config.

A family is registered under its `model_type` in transformers.

    base.py          the contract of a model family, and their registry
    blocks.py        finds the blocks of a network, their states, and the matrices that edits change
    llama.py         Llama, CodeLlama, DeepSeek-Coder
    qwen2.py         Qwen2, Qwen2.5-Coder
    gpt_bigcode.py   StarCoderBase
    codegen.py       CodeGen
    bloom.py         Bloom
    t5.py            T5, CodeT5 (encoder and decoder)
"""
