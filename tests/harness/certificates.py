"""The certificates of tests/tls/make-certificates.sh, and what is made of them."""
import shutil
import ssl
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "tls/make-certificates.sh"


class Certificates:
    def __init__(self, directory):
        self.directory = Path(directory)
        subprocess.run([SCRIPT, directory], check=True)

    def path(self, name):
        return str(self.directory / name)

    def pair(self, name):
        """As it stands in a configuration."""
        return {"certificate": self.path(f"{name}.pem"), "key": self.path(f"{name}.key")}

    def tls(self, *names, **more):
        """A listener's "tls"."""
        return {"certificates": [self.pair(name) for name in names or ["local"]], **more}

    def copy(self, name, to):
        """Puts a pair in the place of another one, as a renewal does."""
        for kind in ("pem", "key"):
            fresh = to.with_suffix(f".{kind}.new")
            shutil.copy(self.path(f"{name}.{kind}"), fresh)
            fresh.rename(to.with_suffix(f".{kind}"))

    def client(self, own=None, ca="ca", protocols=None):
        """An ssl.SSLContext of a client that trusts our authority."""
        context = ssl.create_default_context(cafile=self.path(f"{ca}.pem"))
        if own:
            context.load_cert_chain(self.path(f"{own}.pem"), self.path(f"{own}.key"))
        if protocols:
            context.set_alpn_protocols(protocols)
        return context

    def server(self, name="local", clients=None):
        """One of a server, that asks for certificates of the authority `clients`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path(f"{name}.pem"), self.path(f"{name}.key"))
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.path(f"{clients}.pem"))
        return context
