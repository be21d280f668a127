"""The table at the end, and the verdict."""
from statistics import median

# Knative + MSE on Alibaba Cloud, as published for the same hey command with containerConcurrency 1
# and five pods; seconds. It gives no P99.
PUBLISHED = {"total": 252.17, "fastest": 9.94, "average": 23.97, 50: 20.08, 75: 30.52, 90: 50.70,
             95: 61.50, "slowest": 62.42}


def seconds(value):
    return f"{value:.2f} s" if value is not None else "-"


def times(value):
    """A setting, without needless zeros."""
    return f"{value:g} s"


def hey_rows(result):
    """(label, key among the published ones, seconds) in the order of hey's own summary."""
    yield "total", "total", result.total
    yield "fastest", "fastest", result.fastest
    yield "average", "average", result.average
    for p in (50, 75, 90, 95, 99):
        if p != 99 or result.percentile(99) is not None:
            yield f"P{p}", p, result.percentile(p)
        else:
            yield "P99 = slowest", 99, result.slowest  # by nearest rank, as there are few requests
    yield "slowest", "slowest", result.slowest


def print_hey(settings, hey, result):
    answered = sum(result.statuses.values())
    good = result.statuses.get(200, 0)
    print(f"\n{hey.command()}\n")
    print(f"  {'success':<16}{100 * good / settings.requests:10.1f} %   "
          f"{good} of {settings.requests} answered 200, {result.per_second:.2f} requests/s")
    for status, n in sorted(result.statuses.items()):
        if status != 200:
            print(f"  {f'status {status}':<16}{n:10}     of {answered} answers")
    for n, what in result.errors:
        print(f"  {'error':<16}{n:10}     {what}")
    if settings.published:
        print(f"  {'':<16}{'this run':>12}{'published':>12}")
    for label, key, value in hey_rows(result):
        line = f"  {label:<16}{seconds(value):>12}"
        if settings.published:
            line += f"{seconds(PUBLISHED.get(key)):>12}"
        print(line)


def print_published_note(settings):
    image, start = times(settings.image_time), times(settings.cold_start)
    print(f"""
  published: another system, Knative and MSE on Alibaba Cloud, under this hey
  command, as its article gives it: GPUs, nodes and images of its own. Our pods
  compute nothing: they wait {image} for an image and {start} for a start, and that
  start is a guess from the slowest answer there. A yardstick, not a race.""")


def print_bound(settings, result):
    bound = settings.lower_bound
    over = result.total - bound
    print(f"  {'lower bound':<16}{seconds(bound):>12}   cold start {times(settings.cold_start)} + "
          f"{settings.rounds} rounds x {times(settings.image_time)}, on "
          f"{min(settings.pods, settings.clients)} pods")
    print(f"  {'above it':<16}{seconds(over):>12}   {100 * over / bound:.1f} %")


def print_pods(pods, gateway_starts):
    print("\n  pod    served    at once    cold start    ready to first job")
    for pod in pods:
        first = f"{pod.first_job * 1000:.1f} ms" if pod.first_job is not None else "-"
        print(f"  {pod.index:>3}{pod.served:>10}{pod.highest:>11}{seconds(pod.cold_start):>14}"
              f"{first:>22}")
    starts = [pod.cold_start for pod in pods if pod.cold_start is not None]
    firsts = [pod.first_job for pod in pods if pod.first_job is not None]
    middle_start = seconds(median(starts) if starts else None)
    middle_first = f"{median(firsts) * 1000:.1f} ms" if firsts else "-"
    print(f"  all{sum(pod.served for pod in pods):>10}{max(pod.highest for pod in pods):>11}"
          f"{middle_start:>14}{middle_first:>22}")
    print("       (sum)     (most)      (median)              (median)")
    n, average = gateway_starts
    if n:
        print(f"""
  By slotgate's own metric, from asking for a pod until it is ready: {average:.2f} s,
  the average of {n}. The figures above are the pods', from their process's start.""")


def print_where_to_look(settings):
    print(f"""
  Where to look: `make observe` keeps slotgate, pods and a load running, with
    /ui            a page of the admin address: pods, queue, percentiles, cold starts
    {settings.slotgate} top --admin ADDRESS    the same in a terminal
    /metrics       what Prometheus scrapes (metrics/METRICS.md); alerts for it are in
                   deploy/prometheus/, a Grafana dashboard in deploy/grafana/""")


class Verdict:
    """The conditions of success, each printed with its outcome."""

    def __init__(self):
        self.good = True

    def check(self, holds, text):
        self.good = self.good and bool(holds)
        print(f"  {'ok    ' if holds else 'FAILED'}  {text}")


def judge(settings, result, pods, seconds_to_zero, left_over):
    verdict = Verdict()
    good = result.statuses.get(200, 0)
    highest = max((pod.highest for pod in pods), default=None)
    served = sum(pod.served for pod in pods)
    print()
    verdict.check(good == settings.requests,
                  f"answered 200: {good} of {settings.requests} requests")
    verdict.check(pods and highest <= 1,
                  f"the most that a pod ever worked on at once, by its own count: {highest}"
                  if pods else "no pod was ever ready")
    verdict.check(served == settings.requests,
                  f"served by the pods, by their own counts: {served}")
    verdict.check(seconds_to_zero is not None,
                  f"back at 0 pods {seconds_to_zero:.1f} s after the last answer"
                  if seconds_to_zero is not None else "the pods did not go back to 0")
    verdict.check(not left_over, "slotgate ended by itself and left no process behind"
                  if not left_over else left_over)
    return verdict.good


def print_report(settings, hey, result, pods, gateway_starts):
    print_hey(settings, hey, result)
    if result.statuses.get(200) == settings.requests:
        print_bound(settings, result)
    if settings.published:
        print_published_note(settings)
    if pods:
        print_pods(pods, gateway_starts)
