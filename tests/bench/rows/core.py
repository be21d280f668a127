"""The gateway's own work without clients: the ledger, the autoscaler, the metrics' page."""

import http.client
import json
import subprocess
import time

import figures
import machine
import peers
import programs
from rows import Column, Goal, Row


def run_core(*words):
    done = subprocess.run([programs.BUILD / "bench-core", *map(str, words)], text=True,
                          stdout=subprocess.PIPE, check=True,
                          preexec_fn=lambda: machine.pin(machine.GATEWAY_CORE))
    return json.loads(done.stdout)


class Cycle(Row):
    name, title = "core", "The ledger alone"
    what = ("One cycle: a request arrives, a job ends, the first in the queue is granted its slot. "
            "All pods work all the time. Medians of batches of 1,000.")
    subjects = ("10 pods, 100 waiting", "100,000 pods, 1,000,000 waiting")
    columns = (Column("ns", "ns/cycle", 0),)
    sizes = dict(zip(subjects, ((10, 100), (100_000, 1_000_000))))
    full_only = True

    def measure(self, subject, full):
        return {"ns": run_core("cycle", *self.sizes[subject], 300_000)["median_ns"]}

    def goals(self, turns):
        small, large = (figures.median(figures.of(turns, s, "ns")) for s in self.subjects)
        yield Goal("under 300 ns with 10 pods", f"{small:.0f} ns", small < 300)
        yield Goal("at most twice that with 100,000", f"{large / small:.2f}x", large <= 2 * small)


class Tick(Row):
    name, title = "autoscaler", "The autoscaler's turn"
    what = "1,000 services with a pod each, all due at once."
    subjects = ("1,000 services",)
    columns = (Column("us", "us for all", 0), Column("worst_us", "worst of 200, us", 0))
    full_only = True

    def measure(self, subject, full):
        seen = run_core("tick", 1000, 200)
        return {"us": seen["median_us"], "worst_us": seen["worst_us"]}

    def goals(self, turns):
        us = figures.median(figures.of(turns, self.subjects[0], "us"))
        yield Goal("under 1 ms", f"{us / 1000:.2f} ms", us < 1000)


class Scrape(Row):
    name, title = "scrape", "The metrics' page"
    what = ("1,000 pods. The gateway's CPU for a page; and what other requests, of one client, wait "
            "while page after page is read.")
    subjects = ("page after page", "nobody reads it")
    columns = (Column("cpu_us", "CPU us/page", 0), Column("bytes", "bytes", 0),
               Column("p50_us", "other requests P50 us", 0), Column("p99_us", "P99 us", 0))
    full_only = True
    alone, seconds = 20, 3

    def measure(self, subject, full):
        programs.recycle_ports()
        with programs.Pods(1000) as pods, peers.Slotgate(pods) as gateway:
            scrapes = subject == self.subjects[0]
            seen = self._page_alone(gateway) if scrapes else {}
            with programs.Load(gateway.addresses, clients=1, seconds=self.seconds,
                               warm_ms=200) as load:
                load.expect("begin")
                end = time.monotonic() + self.seconds - 0.1
                while scrapes and time.monotonic() < end:
                    self._read_page(gateway)
                latency = load.report()["latency"]
            return {**seen, "p50_us": latency["p50_us"], "p99_us": latency["p99_us"]}

    def _page_alone(self, gateway):
        before = gateway.cpu_ns()
        for _ in range(self.alone):
            size = self._read_page(gateway)
        return {"cpu_us": (gateway.cpu_ns() - before) / 1e3 / self.alone, "bytes": size}

    @staticmethod
    def _read_page(gateway):
        connection = http.client.HTTPConnection("127.0.0.1", gateway.admin_port, timeout=5)
        connection.request("GET", "/metrics")
        size = len(connection.getresponse().read())
        connection.close()
        return size

    def goals(self, turns):
        busy, still = (figures.median(figures.of(turns, s, "p99_us")) for s in self.subjects)
        yield Goal("slices of at most 200 us of loop time: P99 of other requests",
                   f"{busy - still:.0f} us more", busy - still <= 200)
