"""Leaves out of a copy of KEDA's source the scalers that no test needs: with the SDKs of the clouds and
databases behind them go half of the 3,700 packages that its operator is made of. All else of KEDA
stays as it is.

    trim_keda.py SOURCE
"""
import re
import sys
from pathlib import Path

KEPT = {"scaler.go", "external_scaler.go", "metrics_api_scaler.go", "cpu_memory_scaler.go",
        "cron_scaler.go"}
# One constant that the others share stands in a file that goes.
SHARED = 'package scalers\n\nconst externalMetricType = "External"\n'


def main(source):
    folder, builder = source / "pkg/scalers", source / "pkg/scaling/scalers_builder.go"
    for path in folder.glob("*.go"):
        if path.name not in KEPT:
            path.unlink()
    made = set(re.findall(r"^func (New\w+)\(", "".join(path.read_text()
                                                       for path in folder.glob("*.go")), re.M))
    (folder / "shared.go").write_text(SHARED)

    def keep(case):
        name = re.search(r"scalers\.(New\w+)", case[0])
        return case[0] if not name or name[1] in made else ""

    builder.write_text(re.sub(r"\tcase \"[^\n]*:\n(?:\t\t[^\n]*\n)+", keep, builder.read_text()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
