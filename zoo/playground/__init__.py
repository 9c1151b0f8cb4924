"""Parts of `zoo.play`: what its page offers for a model, and the server of the page."""
