"""What the console asks at a terminal: confirmation and passwords."""

import os
import pty
import select
import signal
import subprocess
import termios

import pytest

from support import BINARY, ENVIRONMENT, PATIENCE, wait_for


class Terminal:
    """Terminal at which a command runs."""

    def __init__(self, robot, *arguments, before=b""):
        """`before`: what is typed before the command begins."""
        self.parent, self.child = pty.openpty()
        os.write(self.parent, before)
        # setsid gives the command a controlling terminal, from which signals come.
        self.process = subprocess.Popen(
            ["setsid", "--ctty", BINARY, *arguments, "--persistence-directory", robot.state],
            stdin=self.child,
            stdout=self.child,
            stderr=self.child,
            env=ENVIRONMENT,
        )
        self.said = ""

    def read_to(self, text):
        while text not in self.said:
            assert select.select([self.parent], [], [], PATIENCE)[0], self.said
            self.said += os.read(self.parent, 4096).decode()
        return self

    def type(self, text):
        os.write(self.parent, text.encode())
        return self

    def echoes(self):
        return bool(termios.tcgetattr(self.child)[3] & termios.ECHO)

    def wait(self):
        """Waits for the end; returns the exit code."""
        code = self.process.wait(PATIENCE)
        # Follows all that the command printed.
        os.write(self.child, b"END")
        self.read_to("END")
        return code

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.parent)
        os.close(self.child)


@pytest.fixture
def terminal(robot):
    """Returns a function that runs a command at a terminal."""
    terminals = []

    def run(*arguments, **options):
        terminals.append(Terminal(robot, *arguments, **options))
        return terminals[-1]

    yield run
    for each in terminals:
        each.close()


@pytest.mark.parametrize("answer", ["y", "Y", "yes", "Yes", "YES", " yes ", "\ty"])
def test_yes_in_any_case(robot, terminal, answer):
    asked = terminal("user", "delete", "bob").read_to("[y/N] ").type(f"{answer}\n")
    assert asked.wait() == 0
    assert [user["username"] for user in robot.json("user", "list")] == ["ada"]


@pytest.mark.parametrize("answer", ["", "n", "no", "yess", "ye", "y y", "да"])
def test_anything_else_is_no(robot, terminal, answer):
    asked = terminal("user", "delete", "bob").read_to("[y/N] ").type(f"{answer}\n")
    assert asked.wait() == 1 and "nothing was changed" in asked.said
    assert len(robot.json("user", "list")) == 2


RESET = ("user", "reset-password", "bob", "--password")


def test_password_is_not_shown(robot, terminal):
    asked = terminal(*RESET).read_to("New password: ")
    assert not asked.echoes()
    asked.type("typed-one\n").read_to("Again: ")
    assert not asked.echoes()
    asked.type("typed-one\n")
    assert asked.wait() == 0 and asked.echoes()
    assert "typed" not in asked.said
    if robot.server.process.poll() is None:
        assert robot.api.login("bob", "typed-one")


def test_password_typed_ahead_of_both_prompts_is_used_and_not_shown(robot, terminal):
    asked = terminal(*RESET).read_to("New password: ")
    # All at once: the second line, too, is there before its prompt.
    asked.type("typed-one\ntyped-one\n")
    assert asked.wait() == 0
    assert "typed" not in asked.said.split("New password: ")[1]


def test_password_typed_before_the_command_began_is_used_and_shown_no_more(robot, terminal):
    """The terminal itself shows what is typed before the command; the command does not show it."""
    asked = terminal(*RESET, before=b"typed-one\ntyped-one\n")
    assert asked.wait() == 0, asked.said
    before, after = asked.said.split("New password: ")
    assert "typed" in before and "typed" not in after
    if robot.server.process.poll() is None:
        assert robot.api.login("bob", "typed-one")


@pytest.mark.parametrize("key", ["\x03", "\x1c"])
def test_interrupted_prompt_restores_the_terminal(robot, terminal, key):
    asked = terminal(*RESET).read_to("New password: ")
    assert not asked.echoes()
    asked.type(f"half{key}")
    # setsid ends as the command did.
    assert asked.wait() != 0
    assert asked.echoes() and "half" not in asked.said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signal_restores_the_terminal(robot, terminal, number):
    asked = terminal(*RESET).read_to("New password: ")
    asked.process.send_signal(number)
    assert asked.wait() == -number
    assert asked.echoes()


def test_prompt_is_repeated_after_a_stop(robot, terminal):
    asked = terminal(*RESET).read_to("New password: ")
    # Nobody could continue this process, so Linux does not stop it (credentials(7), orphaned group).
    asked.process.send_signal(signal.SIGTSTP)
    asked.read_to("New password: New password: ")
    wait_for(lambda: not asked.echoes(), "the terminal shows nothing")
    asked.type("typed-one\n").read_to("Again: ").type("typed-one\n")
    assert asked.wait() == 0 and asked.echoes()
    assert "typed" not in asked.said


def test_end_of_input_is_no_password(robot, terminal):
    asked = terminal(*RESET).read_to("New password: ").type("\x04")
    assert asked.wait() == 1 and "cannot read the password" in asked.said
    assert asked.echoes()
