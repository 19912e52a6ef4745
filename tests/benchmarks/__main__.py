"""``python -m tests.benchmarks [NAME ...]``."""

import sys

from tests.benchmarks.suite import main

if __name__ == "__main__":
    main(sys.argv[1:])
