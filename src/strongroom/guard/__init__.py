"""Is this traffic honest? The signed schema of a model and the tensors that must fit it."""
