"""Stands between slotgate and the API server, sees what they say, and cuts watches in the middle of an
event: what has come of it is passed on, the rest never arrives."""
import contextlib
import random
import re
import select
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
        # Later ones say more after the handshake, and who reads that waits for the words behind it.
        self.as_client.maximum_version = ssl.TLSVersion.TLSv1_2
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
        """Both ways in one thread: a TLS connection is nothing for two at once."""
        with contextlib.suppress(OSError, ValueError), contextlib.ExitStack() as ends:
            ends.callback(client.close)
            client = ends.enter_context(self.as_server.wrap_socket(client, server_side=True))
            server = ends.enter_context(self.as_client.wrap_socket(
                socket.create_connection(self.server), server_hostname="localhost"))
            self._pass_on(client, server)

    def _pass_on(self, client, server):
        """Until one of them ends, or is cut off: without an end of TLS; a reset would also take back
        what has not been read yet."""
        left, is_watch = self.random.randint(2, 5), False  # events: each watch gets on
        while True:
            for source in [end for end in (client, server) if end.pending()] \
                    or select.select([client, server], [], [])[0]:
                data = source.recv(65536)
                if not data:
                    return
                if source is client:
                    is_watch = is_watch or bool(WATCH.search(data))
                    server.sendall(data)
                    continue
                begins = [event.start() for event in EVENT.finditer(data)] \
                    if self.is_cutting and is_watch else []
                if len(begins) >= left:
                    self.cuts += 1
                    end = begins[left] if len(begins) > left else len(data)
                    client.sendall(data[:(begins[left - 1] + end) // 2])
                    return
                left -= len(begins)
                client.sendall(data)
