"""A file of API keys. A tenant's keys are called by its name: "acme" -> "key-of-acme"."""
import hashlib
import json
import os


def digest(key):
    return hashlib.sha256(key.encode()).hexdigest()


def entry(tenant, key=None, **options):
    return {"sha256": digest(key or f"key-of-{tenant}"), "tenant": tenant, **options}


def bearer(tenant):
    return {"Authorization": f"Bearer key-of-{tenant}"}


class KeyFile:
    def __init__(self, path, *entries):
        self.path = str(path)
        self.write(*entries)

    def write(self, *entries):
        self.write_text(json.dumps({"keys": list(entries)}))

    def write_text(self, text):
        """Replaced in one step, as a careful tool does."""
        with open(self.path + ".new", "w") as file:
            file.write(text)
        os.replace(self.path + ".new", self.path)

    def option(self, **more):
        return {"file": self.path, **more}
