"""All that touches an Optuna study or its storage."""
