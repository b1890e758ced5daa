"""What a language model is asked, and what it may see."""
