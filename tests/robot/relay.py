"""Relays one connection of the virtual robot, which QEMU passes as standard input, to a port of this
machine: relay.py PORT"""

import socket
import sys
import threading


def copy(one, other):
    """Copies what one sends to the other, until it has sent all."""
    try:
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the other one has closed the connection


def main():
    near = socket.socket(fileno=0)
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as far:
        back = threading.Thread(target=copy, args=(far, near))
        back.start()
        copy(near, far)
        back.join()


if __name__ == "__main__":
    main()
