"""Build the pocket model: a tiny chat model that ships with the product, so that everything runs offline."""
