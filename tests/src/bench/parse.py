"""One of PyPI's clients takes an answer of 1C apart: what it took is printed, and it waits to be looked at."""

import io
import json
import sys
import time


class Answer(io.BytesIO):
    def getcode(self):
        return 200


def enterprise(file):
    import enterprise_1c_odata as client
    from enterprise_1c_odata import client as module

    module.urllib.request.urlopen = lambda *_, **__: Answer(open(file, "rb").read())
    return len(client.ODataClient("http://127.0.0.1").execute(client.ODataQuery("Document")).items)


def aiohttp(file, form):
    from python_1c_odata import Infobase

    # As it does with the text of an answer, whatever brought it.
    base = Infobase("http://127.0.0.1", "trade", "", "", format=form)
    return len(base._decode_payload(open(file, encoding="utf-8").read(), "", 200)["value"])


parsers = {
    "enterprise-1c-odata": enterprise,
    "python-1c-odata-json": lambda file: aiohttp(file, "json"),
    "python-1c-odata-atom": lambda file: aiohttp(file, "atom"),
}
parser = parsers[sys.argv[1]]
begun = time.perf_counter()
records = parser(sys.argv[2])
print(json.dumps({"records": records, "seconds": time.perf_counter() - begun}), flush=True)
sys.stdin.read()
