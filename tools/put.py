"""Put what comes on standard input between marks of docs/results.md or docs/instruments.md.

python -m benchmarks.editing DATASET | python -m tools.put speed
"""

import argparse
import sys

from tools.facs import write_between


def main() -> None:
    """Read, print and write it."""
    parser = argparse.ArgumentParser(description="Put standard input between marks of the results.")
    parser.add_argument("mark")
    mark, text = parser.parse_args().mark, sys.stdin.read().strip()
    if not text:
        sys.exit(f"nothing came for {mark}; it stays as it was")
    print(text)
    write_between(mark, text)


if __name__ == "__main__":
    main()
