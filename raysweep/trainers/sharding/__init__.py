"""How the workers of a training share its model, gradients and optimizer.

The loop calls a sharding in place of the model and its optimizer.

    base.py          the contract
    choice.py        which sharding a recipe gets, and settings that don't go together
    replicas.py      one worker, or a whole model on each (DistributedDataParallel): backward pass, step, clipping
    zero.py          optimizer, gradients and weights in shares (DeepSpeed's ZeRO 1 to 3): backward pass, step
"""
