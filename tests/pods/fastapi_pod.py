#!/usr/bin/python3
"""A small real uvicorn + FastAPI pod: what demo_pod imitates, to check the imitation against.

txt2img is a synchronous handler behind one lock in uvicorn's 40-thread pool, as in the WebUI.
Needs Debian's python3-uvicorn and python3-fastapi; WebSockets also python3-websockets or
python3-wsproto (without them uvicorn answers the handshake as a plain request).
"""
import argparse
import asyncio
import base64
import json
import os
import struct
import threading
import time
import zlib

import uvicorn
from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from pydantic import BaseModel


def duration(text):
    for suffix, seconds in (("ms", 0.001), ("s", 1), ("m", 60)):
        if text.endswith(suffix):
            return float(text[: -len(suffix)]) * seconds
    return float(text)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--service-time", type=duration, default=1.0, metavar="TIME")
    parser.add_argument("--keep-alive", type=duration, default=5.0, metavar="TIME")
    parser.add_argument("--gzip", action="store_true", help="compress like the WebUI's middleware")
    parser.add_argument("--audit", metavar="PATH", help="write the audit here after each job")
    return parser.parse_args()


class Audit:
    """The same keys as demo_pod's audit, as far as an application inside uvicorn can know them."""

    def __init__(self, path):
        self.path = path
        self.mutex = threading.Lock()
        self.counts = dict.fromkeys(
            ("arrived", "started", "served", "working", "waiting", "holding",
             "highestSimultaneous", "highestHolding"), 0)
        self.requests = []

    def snapshot(self):
        with self.mutex:
            return {"pid": os.getpid(), **self.counts, "requests": list(self.requests)}

    def arrived(self, request):
        with self.mutex:
            c = self.counts
            c["arrived"] += 1
            c["waiting"] += 1
            c["highestSimultaneous"] = max(c["highestSimultaneous"], c["waiting"] + c["working"])
            record = {"id": request.headers.get("x-request-id"), "path": request.url.path,
                      "arrivedMicros": time.monotonic_ns() // 1000,
                      "startMicros": None, "endMicros": None}
            self.requests = self.requests[-999:] + [record]
            return record

    def started(self, record):
        with self.mutex:
            c = self.counts
            c["waiting"] -= 1
            c["working"] += 1
            c["started"] += 1
            c["holding"] += 1
            c["highestHolding"] = max(c["highestHolding"], c["holding"])
            record["startMicros"] = time.monotonic_ns() // 1000

    def ended(self, record):
        with self.mutex:
            self.counts["working"] -= 1
            self.counts["holding"] -= 1
            self.counts["served"] += 1
            record["endMicros"] = time.monotonic_ns() // 1000
        if self.path:
            temporary = f"{self.path}.{os.getpid()}.{threading.get_ident()}.tmp"
            with open(temporary, "w", encoding="utf-8") as file:
                json.dump(self.snapshot(), file)
            os.replace(temporary, self.path)


class Gpu:
    """The queue lock and the state that progress shows and interrupt ends."""

    def __init__(self):
        self.lock = threading.Lock()
        self.interrupted = threading.Event()
        self.running = None  # (began, seconds, steps)

    def compute(self, seconds, steps):
        self.interrupted.clear()  # an interrupt while idle is lost
        self.running = (time.monotonic(), seconds, steps)
        self.interrupted.wait(seconds)
        self.running = None

    def progress(self):
        running = self.running
        if not running:
            return 0.0, 0.0, 0, 0, 0
        began, seconds, steps = running
        done = min(1.0, (time.monotonic() - began) / seconds) if seconds else 1.0
        return done, seconds * (1 - done), 1, int(done * steps), steps


def png(width, height, seed):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(
            ">I", zlib.crc32(kind + data))

    row = b"\0" + bytes((x * 7 + seed * 13) & 0xFF for x in range(3 * width))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
            + chunk(b"IDAT", zlib.compress(row * height)) + chunk(b"IEND", b""))


class Generation(BaseModel):
    prompt: str = ""
    steps: int = 50
    width: int = 512
    height: int = 512
    batch_size: int = 1
    n_iter: int = 1
    seed: int = -1


def make_app(args):
    app = FastAPI()
    gpu = Gpu()
    audit = Audit(args.audit)
    if args.gzip:
        app.add_middleware(GZipMiddleware, minimum_size=1000)

    @app.post("/sdapi/v1/txt2img")
    def txt2img(generation: Generation, request: Request):
        seconds = duration(request.headers.get("x-demo-time", f"{args.service_time}s"))
        seed = generation.seed if generation.seed >= 0 else time.monotonic_ns() & 0xFFFFFFFF
        record = audit.arrived(request)
        with gpu.lock:
            audit.started(record)
            gpu.compute(seconds, generation.steps)
            audit.ended(record)
        seeds = [seed + i for i in range(generation.batch_size * generation.n_iter)]
        images = [base64.b64encode(png(generation.width, generation.height, s)).decode()
                  for s in seeds]
        info = {"seed": seed, "all_seeds": seeds, "sd_model_name": "fastapi-pod",
                "sd_model_hash": "0000000000"}
        return {"images": images, "parameters": generation.dict(), "info": json.dumps(info)}

    @app.get("/sdapi/v1/progress")
    def progress():
        done, eta, job_count, step, steps = gpu.progress()
        return {"progress": done, "eta_relative": eta, "current_image": None, "textinfo": None,
                "state": {"skipped": False, "interrupted": gpu.interrupted.is_set(),
                          "job": "scripts_txt2img" if job_count else "", "job_count": job_count,
                          "job_no": 0, "sampling_step": step, "sampling_steps": steps}}

    @app.post("/sdapi/v1/interrupt")
    def interrupt():
        gpu.interrupted.set()
        return {}

    @app.get("/sdapi/v1/memory")
    def memory():
        return {"ram": {"free": 1, "used": 1, "total": 2}, "cuda": {}}

    @app.get("/internal/ping")
    def ping():
        return {}

    @app.get("/")
    async def page():
        return HTMLResponse("<!doctype html><title>fastapi pod</title>")

    @app.get("/audit")
    @app.get("/demo/audit")
    async def get_audit():
        return JSONResponse(audit.snapshot())

    @app.get("/queue/data")
    async def events(session_hash: str = "", n: int = 5, interval_ms: int = 100):
        async def generate():
            for i in range(n):
                if i:
                    await asyncio.sleep(interval_ms / 1000)
                event = {"msg": "process_completed" if i + 1 == n else "progress",
                         "event": i + 1, "session_hash": session_hash}
                yield f"data: {json.dumps(event)}\n\n"

        return StreamingResponse(generate(), media_type="text/event-stream")

    @app.websocket("/queue/join")
    async def echo(socket: WebSocket):
        await socket.accept()
        try:
            while True:
                message = await socket.receive()
                if message.get("text") is not None:
                    await socket.send_text(message["text"])
                elif message.get("bytes") is not None:
                    await socket.send_bytes(message["bytes"])
                else:
                    return
        except WebSocketDisconnect:
            pass

    return app


class Server(uvicorn.Server):
    """Prints the address as demo-pod does, also for --port 0."""

    async def startup(self, sockets=None):
        await super().startup(sockets=sockets)
        for server in self.servers:
            host, port = server.sockets[0].getsockname()[:2]
            print(f"listening on {host}:{port}", flush=True)


def main():
    args = parse_args()
    config = uvicorn.Config(make_app(args), host=args.host, port=args.port, log_level="warning",
                            timeout_keep_alive=args.keep_alive)
    Server(config).run()


if __name__ == "__main__":
    main()
