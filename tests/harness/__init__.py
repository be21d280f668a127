"""What the end-to-end tests stand on: a gateway to start, clients and pods to script.

wait.py       meets a condition by polling; the only place that sleeps
client.py     a raw HTTP/1.1 connection: every byte, FIN and RST where the test wants them
http2_client.py  the same in HTTP/2: frames, well-formed or not
websocket.py  WebSocket frames over such a connection
pod.py        a pod inside the test: it holds a request until told, and knows what it works on
demo.py       the C demo pod and the uvicorn + FastAPI pod as processes
gateway.py    slotgate as a process: config, ports, live state, logs, sanitizers
metrics.py    a strict reader of both exposition formats
"""
