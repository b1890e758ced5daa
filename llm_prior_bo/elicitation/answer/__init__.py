"""What a language model answers: schema, parsing, repair."""
