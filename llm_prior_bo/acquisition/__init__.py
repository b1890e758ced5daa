"""Terms of the score that a suggestion maximises: base functions, the prior's term, their sum, and the maximiser."""
