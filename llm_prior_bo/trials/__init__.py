"""The trials of an Optuna study: what is noted in them, what they asked for, and what a surrogate learns from them."""
