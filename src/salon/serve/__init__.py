"""The service: a thin shell of routes around one synchronous service that answers, learns and remembers."""
