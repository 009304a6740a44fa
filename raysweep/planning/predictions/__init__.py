"""What cells will take: memory, disk, hours, processes.

costs.py         memory, disk and hours of each cell
sizes.py         counts rows, tokens and problems, or assumes them
rates.py         measured speed of finished trainings
fit.py           decides whether the tensors of a process fit into the memory that it has
trainable.py     refuses a training that its worker can't hold, and finds a setting that fits
needs.py         records of what a cell and the processes of its stages ask for: CellNeeds, Needs
needs_planner.py finds out what they ask for: as the config says, or as much as is predicted
"""
