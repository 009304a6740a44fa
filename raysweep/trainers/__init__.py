"""Fine-tunes models: one file per trainer, and the loop, batches and checks that they share.

Begin with base.py, which defines what a trainer receives and returns.

    base.py          the contracts: recipe, training job, services, trainer, objective
    loop.py          sets up model and device, runs the steps, validates, reads and writes checkpoints, halves passes
    reports.py       reports loss, speed and memory while a training runs
    batching.py      decides which rows each step and each forward pass takes, and makes tensors of them
    optimizer.py     AdamW and Adafactor, which weights decay, and the schedules of its learning rate
    encoding.py      turns a job's training rows into token ids and weights; keeps numbers of the untrained model
    validation.py    measures of validation rows that all objectives share; the epoch with their lowest loss
    checks.py        stops trainings that can't be right; refuses broken models and adapters that do nothing
    memory.py        predicts the memory of a training worker and of a generator, and a training's FLOPs
    full.py          trains all weights, or a model from scratch; loads a model for training
    adapters.py      what trainers of adapters share: PEFT's wrapper and config, checks, saving
    lora.py          trains low-rank updates (LoRA) of linear layers; finds embeddings and the output layer
    ia3.py           trains scaling vectors (IA3)
    passes/          how forward and backward passes are computed: attention, fused kernels, gradient checkpointing
    sharding/        how several workers share a training: DDP, DeepSpeed's ZeRO
    objectives/      one loss per file
    kinds.py         what a recipe's trainer is: a trainer, an editor, or Self-Denoising
    editors/         changes a few weights from one pair of prompts, an editor per file
"""
