"""All GPUs of a hall in one process: it serves every local address, and each is a pod that works on one
job. It counts, by address, how many jobs are there at once.

    hall_pod.py PORT CONTROL_PORT

Control: GET /audit; POST /end?ADDRESS ends the pod there as SIGKILL would: connections are reset and
its work is over. A job takes between 0.1 and 1.2 s.
"""
import asyncio
import json
import random
import socket
import struct
import sys

MEMORY = b'{"ram": {}, "cuda": {}}'


class Pod:
    def __init__(self):
        self.working, self.highest, self.served, self.killed = 0, 0, 0, 0
        self.writers = set()


class Hall:
    def __init__(self):
        self.pods = {}
        self.ids = {}  # of a request: how often it has come

    def pod(self, address):
        return self.pods.setdefault(address, Pod())

    async def serve(self, reader, writer):
        pod = self.pod(writer.get_extra_info("sockname")[0])
        pod.writers.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self.answer(pod, head, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            pod.writers.discard(writer)
            writer.close()

    async def answer(self, pod, head, reader, writer):
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ")
        headers = dict((k.lower(), v.strip()) for k, v in
                       (line.split(":", 1) for line in lines[1:] if line))
        await reader.readexactly(int(headers.get("content-length", 0)))
        body = MEMORY
        if target.startswith("/sdapi/v1/progress"):
            body = json.dumps({"state": {"job_count": pod.working}}).encode()
        elif method == "POST":
            body = await self.work(pod, headers)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                     b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()

    async def work(self, pod, headers):
        name = headers.get("x-request-id", "")
        self.ids[name] = self.ids.get(name, 0) + 1
        pod.working += 1
        pod.highest = max(pod.highest, pod.working)
        await asyncio.sleep(random.uniform(0.1, 1.2))
        if pod.working:  # else it was ended meanwhile
            pod.working -= 1
            pod.served += 1
        return b'{"images": []}'

    def end(self, address):
        """What is there is over, and whoever comes to this address next is another pod."""
        pod = self.pods.pop(address, None)
        if not pod:
            return
        old = self.pods[address] = Pod()
        old.highest, old.served = pod.highest, pod.served
        old.killed = pod.killed + pod.working
        pod.working = 0
        for writer in pod.writers:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                                       struct.pack("ii", 1, 0))  # a reset
            writer.transport.abort()

    def audit(self):
        pods = self.pods.values()
        return {"highest": max((pod.highest for pod in pods), default=0),
                "served": sum(pod.served for pod in pods),
                "killed": sum(pod.killed for pod in pods),
                "used": sum(pod.served > 0 for pod in pods),
                "twice": sum(count > 1 for count in self.ids.values()),
                "working": {address: pod.working for address, pod in self.pods.items()
                            if pod.working}}

    async def control(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        _, target, _ = head.split(" ", 2)
        if target.startswith("/end?"):
            for address in target.removeprefix("/end?").split(","):
                self.end(address)
        body = json.dumps(self.audit()).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
                     % (len(body), body))
        await writer.drain()
        writer.close()


async def main():
    hall = Hall()
    pods = await asyncio.start_server(hall.serve, "0.0.0.0", int(sys.argv[1]), backlog=4096)
    control = await asyncio.start_server(hall.control, "127.0.0.1", int(sys.argv[2]))
    print("listening", flush=True)
    await asyncio.gather(pods.serve_forever(), control.serve_forever())


asyncio.run(main())
