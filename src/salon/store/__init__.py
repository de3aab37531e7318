"""The truth on disk: items, people, events, exposures, experiments, keys and versions of models."""
