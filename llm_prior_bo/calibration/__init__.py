"""Past answers against what came out."""
