"""From scored items to a list that a person gets: rules, diversity, exploration. Everything here is a pure function."""
