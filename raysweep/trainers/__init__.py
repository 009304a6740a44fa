"""Fine-tunes models: one file per trainer, and the loop, batches and checks that they share.

Begin with base.py, which defines what a trainer receives and returns.

    base.py          the contracts: recipe, training job, services, trainer, objective
    loop.py          runs the optimizer steps, writes and reads checkpoints
    batching.py      decides which rows each step takes and pads them into tensors
    encoding.py      turns a job's training rows into token ids and weights
    checks.py        stops trainings that can't be right and refuses broken models
    full.py          trains all weights, or a model from scratch
    lora.py          trains a LoRA adapter
    objectives/      one loss per file
"""
