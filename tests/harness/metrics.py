"""A strict reader of the Prometheus text format and of OpenMetrics: what is odd fails the test."""
import re

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)\Z")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|\Z)')
SUFFIXES = {"counter": ("_total", "_created"), "gauge": ("",),
            "histogram": ("_bucket", "_sum", "_count", "_created")}


class Metrics:
    """The samples of one scrape, by name and labels."""

    def __init__(self, text, openmetrics=False):
        self.samples, self.types, self.helps = {}, {}, {}
        assert text.endswith("\n")
        lines = text[:-1].split("\n")
        if openmetrics:
            assert lines.pop() == "# EOF"
        family = None
        for line in lines:
            if line.startswith("# "):
                family = self._comment(line)
            else:
                self._sample(line, family, openmetrics)
        self._check_histograms()

    def _comment(self, line):
        _, keyword, name, rest = line.split(" ", 3)
        assert keyword in ("HELP", "TYPE", "UNIT"), line
        assert NAME.match(name), line
        seen = {"HELP": self.helps, "TYPE": self.types}.get(keyword, {})
        assert name not in seen, f"twice: {line}"
        seen[name] = rest
        return name

    def _sample(self, line, family, openmetrics):
        match = SAMPLE.match(line)
        assert match, f"not a sample: {line!r}"
        name, labels, value = match.groups()
        kind = self.types[family]
        base = family
        if not openmetrics and kind == "counter" and family.endswith("_total"):
            base = family[: -len("_total")]
        assert name in [base + suffix for suffix in SUFFIXES[kind]], f"{line} in {family}"
        key = (name, self._labels(labels or ""))
        assert key not in self.samples, f"twice: {line}"
        self.samples[key] = float(value)

    @staticmethod
    def _labels(text):
        found, at = {}, 0
        while at < len(text):
            match = LABEL.match(text, at)
            assert match, f"not labels: {text!r}"
            assert match[1] not in found, f"label twice: {text!r}"
            found[match[1]] = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], match[2])
            at = match.end()
        return frozenset(found.items())

    def _check_histograms(self):
        buckets = {}
        for (name, labels), value in self.samples.items():
            if name.endswith("_bucket"):
                others = frozenset(pair for pair in labels if pair[0] != "le")
                buckets.setdefault((name[:-7], others), []).append(
                    (float(dict(labels)["le"]), value))
        for (name, labels), steps in buckets.items():
            counts = [count for _, count in sorted(steps)]
            assert counts == sorted(counts), f"{name}: buckets fall"
            assert sorted(steps)[-1][0] == float("inf"), f"{name}: no +Inf"
            assert counts[-1] == self.samples[(name + "_count", labels)], name

    def __call__(self, name, **labels):
        """The sum of this metric's samples that have these labels; 0 where there is none."""
        wanted = set(labels.items())
        return sum(value for (sample, have), value in self.samples.items()
                   if sample == name and wanted <= have)
