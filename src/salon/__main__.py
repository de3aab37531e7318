"""`python -m salon` is the same program as `salon`."""

from salon.cli.main import main

if __name__ == "__main__":
    main()
