"""Why no connection comes about, found by an attempt of our own, as gRPC says too little of it."""

import socket
import ssl

from depgraph.security import Security, asks_for_tls
from server.cli.asked import AskedServer

SECONDS = 3.0
# How an HTTP/2 connection begins: the preface and empty settings.
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
_WRONG_NAME = frozenset({62, 64})
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"})


def connection_problem(server: AskedServer) -> str | None:
    """
    Find out what the two ends disagree on; None = nothing, or the other end does not answer.

    gRPC reports the last of the addresses that it tried, and only that the connection was closed
    where one end speaks TLS and the other does not, or a client certificate is missing.
    """
    host = _host(server.address)
    try:
        with _connected(server.address) as connection:
            if asks_for_tls(server.security):
                return _tls_problem(connection, server.security, host)
            answer = _answer(connection)
        # Alerts of TLS begin with 21, settings of HTTP/2 with their length.
        if answer in {b"", b"\x15"} and _speaks_tls(server.address):
            return "it speaks TLS: name its authorities with --ca-cert, or take those of the system (--tls)"
    except OSError:
        pass
    return None


def _tls_problem(connection: socket.socket, security: Security, host: str) -> str | None:
    file = security.get("ca_cert")
    context = ssl.create_default_context(cafile=file)
    # As gRPC, which takes an intermediate authority for one, and authorities of an older form.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols(["h2"])
    certificate, key = security.get("client_cert"), security.get("client_key")
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    try:
        secured = context.wrap_socket(connection, server_hostname=security.get("server_name") or host)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in _WRONG_NAME:
            return f"{error.verify_message.rstrip('.')} (--server-name expects another name)"
        trusted = "the system's authorities" if file is None else f"--ca-cert {file}"
        return f"its certificate was not accepted, with {trusted}: {error.verify_message}"
    except ssl.SSLError as error:
        if error.reason in _NO_TLS:
            return "it does not speak TLS: leave --ca-cert, --tls and --client-cert out"
        return f"the TLS handshake failed: {error.reason or error}"
    with secured:
        # By then the server has seen the certificate.
        return None if _answer(secured) != b"" else _refusal(has_certificate=certificate is not None)


def _answer(connection: socket.socket) -> bytes | None:
    """Greet the server; returns the first byte: empty = it hung up, None = silence."""
    try:
        connection.sendall(_GREETING)
        return connection.recv(1)
    except TimeoutError:
        return None
    except OSError:
        return b""


def _refusal(*, has_certificate: bool) -> str:
    if has_certificate:
        return "it closed the connection when it saw the certificate: see whether it trusts --client-cert"
    return "it closed the connection, as a server that asks for --client-cert and --client-key does"


def _speaks_tls(address: str) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # It only asks which protocol that is; nothing is sent.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with _connected(address) as connection, context.wrap_socket(connection):
            return True
    except ssl.SSLError as error:
        return error.reason not in _NO_TLS


def _connected(address: str) -> socket.socket:
    if not address.startswith("unix:"):
        return socket.create_connection((_host(address), int(address.rpartition(":")[2])), SECONDS)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(SECONDS)
    try:
        connection.connect(address.removeprefix("unix:").removeprefix("//"))
    except OSError:
        connection.close()
        raise
    return connection


def _host(address: str) -> str:
    """Return the host of ``HOST:PORT``; gRPC calls the other end of a Unix socket localhost."""
    if address.startswith("unix:"):
        return "localhost"
    return address.rpartition(":")[0].strip("[]")
