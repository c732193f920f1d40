"""Small studies of what papers claim: variants trained side by side over seeds."""
