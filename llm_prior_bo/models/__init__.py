"""Data to model: kernel, hyperparameters, posterior, transforms, the distribution of the optimum, feasibility."""
