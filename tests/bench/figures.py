"""What several turns say together: medians, spreads, ratios, intervals."""

import random
import statistics

RESAMPLES = 2000


def median(values):
    return statistics.median(values) if values else float("nan")


def of(turns, subject, key):
    """A measure in each turn in which this subject took part."""
    return [turn[subject][key] for turn in turns
            if subject in turn and turn[subject].get(key) is not None]


def ratio(turns, key, above="slotgate", below="haproxy"):
    """The median of the ratios within each turn."""
    pairs = [(turn[above][key], turn[below][key]) for turn in turns
             if above in turn and below in turn]
    return median([a / b for a, b in pairs if b])


def added_ratio(turns, key):
    """What slotgate adds to a run without a gateway, against what HAProxy adds, from the medians
    over the turns; and the interval in which 95 % of its bootstrap's resamples lie."""
    paired = [(turn["slotgate"][key] - turn["direct"][key],
               turn["haproxy"][key] - turn["direct"][key]) for turn in turns]

    def of_sample(sample):
        ours, theirs = (median([pair[i] for pair in sample]) for i in (0, 1))
        return ours / theirs if theirs > 0 else float("inf")

    chance = random.Random(1)
    drawn = sorted(of_sample(chance.choices(paired, k=len(paired))) for _ in range(RESAMPLES))
    return of_sample(paired), drawn[RESAMPLES // 40], drawn[-RESAMPLES // 40]
