"""What the surrogate is made of: kernel, hyperparameters, posterior, what the kernel sees. Knows no Optuna study."""
