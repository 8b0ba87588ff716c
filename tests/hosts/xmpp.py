#!/usr/bin/env python3
"""A client of XMPP, for the test of Prosody: logs in, does what it is told, and prints what it receives.

    tests/hosts/xmpp.py PORT USER PASSWORD [add JID | roster | tell JID TEXT | hear TEXT]
"""
import base64
import socket
import sys
import time
from xml.sax.saxutils import quoteattr

STREAM = '<stream:stream to="localhost" version="1.0" xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams">'


class Client:
    def __init__(self, port, user, password):
        self.user = user
        self.socket = self.connect(int(port))
        self.socket.settimeout(60)
        self.ask(STREAM, "</stream:features>")
        secret = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        self.ask(f'<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="PLAIN">{secret}</auth>', "<success")
        self.ask(STREAM, "</stream:features>")
        self.iq("bind", "set", '<bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/>')

    @staticmethod
    def connect(port):
        """The server may still be starting."""
        end = time.monotonic() + 60
        while True:
            try:
                return socket.create_connection(("127.0.0.1", port))
            except ConnectionRefusedError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def ask(self, text, *answers):
        """Sends, and reads until one of these is in what has come since then."""
        self.socket.sendall(text.encode())
        received = ""
        while answers and not any(answer in received for answer in answers):
            if "<failure" in received or "</stream:stream>" in received:
                sys.exit(received)
            data = self.socket.recv(65536)
            if not data:
                sys.exit(f"the server has ended the stream: {received}")
            received += data.decode()
        return received

    def iq(self, number, kind, body):
        answer = self.ask(f'<iq id="{number}" type="{kind}">{body}</iq>', f"id='{number}'")
        while "</iq>" not in answer and "/>" not in answer:
            answer += self.ask("", ">")
        if "type='error'" in answer:
            sys.exit(answer)
        return answer


def main(port, user, password, what, *arguments):
    client = Client(port, user, password)
    roster = "jabber:iq:roster"
    if what == "add":
        print(client.iq("add", "set", f'<query xmlns="{roster}"><item jid={quoteattr(arguments[0])}/></query>'))
    elif what == "roster":
        print(client.iq("roster", "get", f'<query xmlns="{roster}"/>'))
    elif what == "tell":
        jid, text = arguments
        client.ask(f'<message type="chat" to={quoteattr(jid)}><body>{text}</body></message>')
        client.iq("told", "get", f'<query xmlns="{roster}"/>')  # after which the message has been handled
    elif what == "hear":
        print(client.ask("<presence/>", arguments[0]))


main(*sys.argv[1:])
