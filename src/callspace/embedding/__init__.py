"""Running an encoder over windows: the pipeline, and the store that keeps what came of it."""
