"""``python -m tests.benchmarks [NAME ...]``."""

from tests.benchmarks.suite import main

if __name__ == "__main__":
    main()
