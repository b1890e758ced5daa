"""One suggestion: start-up design, evidence, elicited priors and when to ask for them, the engine."""
