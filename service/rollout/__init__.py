"""How another version of a model comes into use: accepted, tried, compared, chosen for studies."""
