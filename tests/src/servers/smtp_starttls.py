"""aiosmtpd with STARTTLS and a password: takes no sign-in and no mail before either. Notes each sign-in in sign-ins.txt."""

import asyncio
import ssl
import sys

from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import SMTP, AuthResult

port, password = int(sys.argv[1]), sys.argv[2].encode()


def sign_in(server, session, envelope, mechanism, given):
    right = (given.login, given.password) == (b"bus", password)
    with open("sign-ins.txt", "a", encoding="utf-8") as notes:
        notes.write(f"{mechanism} encrypted={session.ssl is not None} right={right}\n")
    # Not handled: the server itself says that it was wrong.
    return AuthResult(success=right, handled=right)


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("server.pem", "server.key")
    box = Mailbox("mail")

    def session():
        return SMTP(box, tls_context=context, require_starttls=True, auth_required=True, authenticator=sign_in)

    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", port)
    await server.serve_forever()


asyncio.run(main())
