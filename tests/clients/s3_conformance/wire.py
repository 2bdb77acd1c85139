"""S3 requests made by hand: what boto3 would correct, or refuse to send, goes out as it is written here."""

import base64
import binascii
import datetime
import hashlib
import hmac
import http.client
import os
import re
import socket
from urllib.parse import parse_qsl, quote, urlsplit

ENDPOINT = urlsplit(os.environ["AWS_ENDPOINT_URL"])
EMPTY = hashlib.sha256(b"").hexdigest()

# The identities of the windtunnel.toml that s3_conformance.rs writes: key, secret, canonical id, name.
OWNER = ("AKIAWTOWNER000000001", "owner-secret-0123456789012345678901234567", "a" * 64, "owner")
OTHER = ("AKIAWTOTHER000000002", "other-secret-0123456789012345678901234567", "b" * 64, "other")
THIRD = ("AKIAWTTHIRD000000003", "third-secret-0123456789012345678901234567", "c" * 64, "third")


def stamp(shift=0):
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=shift)
    return moment.strftime("%Y%m%dT%H%M%SZ")


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signing_key(secret, date, region="us-east-1"):
    key = f"AWS4{secret}".encode()
    for word in (date, region, "s3", "aws4_request"):
        key = mac(key, word)
    return key


def canonical_query(query):
    pairs = sorted((quote(n, safe="-._~"), quote(v, safe="-._~")) for n, v in parse_qsl(query, keep_blank_values=True))
    return "&".join(f"{name}={value}" for name, value in pairs)


def sign(method, target, headers, payload, who=OWNER, shift=0):
    """Adds a SigV4 Authorization header; returns what chunk signatures go on from."""
    path, _, query = target.partition("?")
    when = headers.setdefault("x-amz-date", stamp(shift))
    headers.setdefault("x-amz-content-sha256", payload)
    names = sorted(name.lower() for name in headers)
    lower = {name.lower(): re.sub(" +", " ", str(value).strip()) for name, value in headers.items()}
    lines = "".join(f"{name}:{lower[name]}\n" for name in names)
    canonical = "\n".join([method, path, canonical_query(query), lines, ";".join(names), lower["x-amz-content-sha256"]])
    scope = f"{when[:8]}/us-east-1/s3/aws4_request"
    digest = hashlib.sha256(canonical.encode("latin-1" if not canonical.isascii() else "ascii")).hexdigest()
    key = signing_key(who[1], when[:8])
    signature = mac(key, f"AWS4-HMAC-SHA256\n{when}\n{scope}\n{digest}").hex()
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={who[0]}/{scope}, SignedHeaders={';'.join(names)}, Signature={signature}"
    )
    return signature, key, when, scope


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def code(self):
        return self.inside("Code")

    def inside(self, element):
        """The text of the first element of that name; None where there is none."""
        found = re.search(f"<{element}(?: [^>]*)?>(.*?)</{element}>", self.text, re.DOTALL)
        return found[1] if found else ("" if f"<{element}/>" in self.text else None)

    def __repr__(self):
        return f"{self.status} {self.headers} {self.text[:600]}"


def connect(timeout=30):
    return http.client.HTTPConnection(ENDPOINT.hostname, ENDPOINT.port, timeout=timeout)


def send(method, target, body=b"", headers=None, who=OWNER, payload=None, host=None, shift=0):
    """One request, its path and query sent as they are given. Unsigned when `who` is None."""
    headers = dict(headers or {})
    headers.setdefault("host", host or ENDPOINT.netloc)
    if who is not None:
        sign(method, target, headers, payload or hashlib.sha256(body).hexdigest(), who, shift)
    if method in ("PUT", "POST") and "content-length" not in {name.lower() for name in headers}:
        headers["Content-Length"] = str(len(body))
    return raw(method, target, headers, body)


def raw(method, target, headers, body=b""):
    connection = connect()
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value if isinstance(value, bytes) else str(value).encode("latin-1"))
        connection.endheaders()
        if body:
            try:
                connection.send(body)
            except OSError:
                pass  # It may refuse before it has read everything; the answer is what counts.
        return Answer(connection.getresponse())
    finally:
        connection.close()


def bare(text, timeout=30):
    """Sends bytes and returns all that comes back until the other side closes."""
    with socket.create_connection((ENDPOINT.hostname, ENDPOINT.port), timeout) as stream:
        stream.sendall(text)
        received = b""
        while True:
            try:
                more = stream.recv(65536)
            except (ConnectionResetError, TimeoutError):
                return received
            if not more:
                return received
            received += more
            head, found, rest = received.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            if found and length and len(rest) >= int(length[1]):
                return received


def chunks(pieces, signed=None, trailers=(), end=b"\r\n"):
    """An aws-chunked body. `signed` is what `sign` returned, for signatures in the chunks."""
    out, previous = b"", signed[0] if signed else None

    def signature(data):
        nonlocal previous
        _, key, when, scope = signed
        text = f"AWS4-HMAC-SHA256-PAYLOAD\n{when}\n{scope}\n{previous}\n{EMPTY}\n{hashlib.sha256(data).hexdigest()}"
        previous = mac(key, text).hex()
        return f";chunk-signature={previous}".encode()

    for piece in [*pieces, b""]:
        out += f"{len(piece):x}".encode() + (signature(piece) if signed else b"") + b"\r\n" + piece
        out += b"\r\n" if piece else b""
    for name, value in trailers:
        out += f"{name}:{value}\r\n".encode()
    if signed and trailers:
        _, key, when, scope = signed
        lines = "".join(f"{name}:{value}\n" for name, value in trailers)
        digest = hashlib.sha256(lines.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256-TRAILER\n{when}\n{scope}\n{previous}\n{digest}"
        out += f"x-amz-trailer-signature:{mac(key, text).hex()}\r\n".encode()
    return out + end


def put_chunked(bucket, key, pieces, kind, trailers=(), headers=None, length=None, framed=None, end=b"\r\n"):
    """A PUT whose body is aws-chunked, of the kind that x-amz-content-sha256 names."""
    target = f"/{bucket}/{key}"
    headers = {
        "host": ENDPOINT.netloc,
        "x-amz-decoded-content-length": sum(map(len, pieces)) if length is None else length,
        "content-encoding": "aws-chunked",
        **(headers or {}),
    }
    if trailers:
        headers["x-amz-trailer"] = ",".join(name for name, _ in trailers)
    seed = sign("PUT", target, headers, kind)
    body = chunks(pieces, seed if "HMAC" in kind else None, trailers, end) if framed is None else framed(seed)
    headers["Content-Length"] = str(len(body))
    return raw("PUT", target, headers, body)


def presigned(method, target, seconds=60, who=OWNER, shift=0, extra=""):
    """A target with a SigV4 signature in its query."""
    path, _, query = target.partition("?")
    when = stamp(shift)
    scope = f"{when[:8]}/us-east-1/s3/aws4_request"
    own = (
        f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={quote(f'{who[0]}/{scope}', safe='')}"
        f"&X-Amz-Date={when}&X-Amz-Expires={seconds}&X-Amz-SignedHeaders=host"
    )
    query = "&".join(filter(None, [query, own]))
    canonical = "\n".join(
        [method, path, canonical_query(query), f"host:{ENDPOINT.netloc}\n", "host", "UNSIGNED-PAYLOAD"]
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    signature = mac(signing_key(who[1], when[:8]), f"AWS4-HMAC-SHA256\n{when}\n{scope}\n{digest}").hex()
    return f"{path}?{query}{extra}&X-Amz-Signature={signature}"


def form(bucket, fields, content=b"file content", name="file.txt", after=()):
    """A form upload; `fields` are pairs, sent in their order, the file behind them."""
    line = "----windtunnel-form"
    out = b""
    for field, value in fields:
        out += f'--{line}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
    out += f'--{line}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'.encode()
    out += b"Content-Type: application/octet-stream\r\n\r\n" + content + b"\r\n"
    for field, value in after:
        out += f'--{line}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
    out += f"--{line}--\r\n".encode()
    headers = {
        "host": ENDPOINT.netloc,
        "Content-Type": f"multipart/form-data; boundary={line}",
        "Content-Length": str(len(out)),
    }
    return raw("POST", f"/{bucket}", headers, out)


def crc32(data):
    return base64.b64encode(binascii.crc32(data).to_bytes(4, "big")).decode()


def crc(data, polynomial, width):
    """A reflected CRC, all ones before and after: CRC32C and CRC64NVME."""
    ones = (1 << width) - 1
    value = ones
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (polynomial if value & 1 else 0)
    return base64.b64encode((value ^ ones).to_bytes(width // 8, "big")).decode()


def crc32c(data):
    return crc(data, 0x82F63B78, 32)


def crc64nvme(data):
    return crc(data, 0x9A6C9329AC4BC9B5, 64)


def sha1(data):
    return base64.b64encode(hashlib.sha1(data).digest()).decode()


def sha256(data):
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def md5(data):
    return base64.b64encode(hashlib.md5(data).digest()).decode()


CHECKSUMS = {"CRC32": crc32, "CRC32C": crc32c, "CRC64NVME": crc64nvme, "SHA1": sha1, "SHA256": sha256}
