"""Stands between slotgate and the API server, sees what they say, and cuts watches in the middle of an
event: what has come of it is passed on, the rest never arrives."""
import contextlib
import random
import re
import socket
import ssl
import threading

WATCH = re.compile(rb"^GET \S*[?&]watch=true", re.M)
EVENT = re.compile(rb'\{"type":"[A-Z]+","object":')


class Cutter:
    """While it is_cutting, no watch lasts for more than a few events. `cuts` counts them."""

    def __init__(self, cluster, address=("127.0.0.1", 0)):
        self.server = cluster.api_server_address
        self.is_cutting, self.cuts, self.is_dead = False, 0, False
        self.random = random.Random(5)
        identities = cluster.identities
        self.as_server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.as_server.load_cert_chain(*identities.pair("server"))
        self.as_client = ssl.create_default_context(cafile=identities.path("ca.pem"))
        self.listener = socket.create_server(address)
        host, port = self.listener.getsockname()
        self.url = f"https://{host}:{port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.is_dead = True
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while not self.is_dead:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client):
        try:
            client = self.as_server.wrap_socket(client, server_side=True)
            server = self.as_client.wrap_socket(socket.create_connection(self.server),
                                                server_hostname="localhost")
        except OSError:
            client.close()
            return
        watches = threading.Event()
        threading.Thread(target=self._pass_on, args=[client, server, watches, False],
                         daemon=True).start()
        self._pass_on(server, client, watches, True)

    def _pass_on(self, source, to, watches, is_answer):
        left = self.random.randint(2, 5)  # events, the last of them in part: each watch gets on
        with contextlib.suppress(OSError, ValueError):
            while data := source.recv(65536):
                if not is_answer and WATCH.search(data):
                    watches.set()
                if not (is_answer and self.is_cutting and watches.is_set()):
                    to.sendall(data)
                    continue
                begins = [event.start() for event in EVENT.finditer(data)]
                if len(begins) >= left:
                    self.cuts += 1
                    end = begins[left] if len(begins) > left else len(data)
                    to.sendall(data[:(begins[left - 1] + end) // 2])
                    break  # no end of TLS; a reset would also take back what has not been read yet
                left -= len(begins)
                to.sendall(data)
        for end in (source, to):
            with contextlib.suppress(OSError, ValueError):
                socket.socket.shutdown(end, socket.SHUT_RDWR)
            with contextlib.suppress(OSError, ValueError):
                end.close()
