"""What cells will take: memory, disk, hours, processes.

costs.py         memory, disk and hours of each cell
sizes.py         counts rows, tokens and problems, or assumes them
rates.py         measured speed of finished trainings
editing.py       memory and hours of an edit, from what its editor says that it does
fit.py           decides whether the tensors of a process fit into the memory that it has
rooms.py         finds out which memory a training worker has
trainable.py     refuses a training that its worker can't hold, and finds settings that fit, by reason
parts.py         says what holds a training's memory, and how large a batch fits
faster.py        names settings with which a sweep takes fewer accelerator hours
needs.py         records of what a cell and its stages ask for: amounts, accelerators, limits
needs_planner.py finds out what they ask for: as the config says, or as much as is predicted
"""
