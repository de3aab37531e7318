"""What people's reactions say: which answer an action follows from, which variant is better, and what has changed."""
