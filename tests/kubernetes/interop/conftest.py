"""What takes hours to build is run by hand: `make interop` sets INTEROP. Its results are kept in
tests/integration/INTEROP.md."""
import os

collect_ignore_glob = [] if os.environ.get("INTEROP") else ["test_*.py"]
