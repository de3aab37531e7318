"""Words for people: plain templates, which is what there is where no language model is installed."""
