"""Argon2id hashes that can be imported, as PHC strings, computed with the reference implementation
of Argon2 and the salt `first-edition-16`."""

_SALT = "Zmlyc3QtZWRpdGlvbi0xNg"


def _phc(parameters, digest):
    return f"$argon2id$v=19${parameters}${_SALT}${digest}"


# Hashes of api.PASSWORD: with the Python server's parameters, and with each parameter at its limit.
IMPORTED = {
    "m=65536,t=3,p=4": _phc("m=65536,t=3,p=4", "32PcSOwkFIlvL4Sl8xg0s5cRmExGNX8cJ82CYV8wOEo"),
    "m=262144": _phc("m=262144,t=1,p=1", "T0dFAM2sxcHqFHhiHh3pEXvHqPUziJ/pQpVz3F7eFCg"),
    "t=16": _phc("m=8192,t=16,p=1", "/BVfhY5JdWyWhEWRo/sWlhzfK4PgoWcuaY0Tk7fqUzE"),
    "p=16": _phc("m=8192,t=1,p=16", "qBqAIKD56/DlxLMSzaxAqGs43scpUKhZ/MDEtNoHnN4"),
}
# Hashes of api.PASSWORD, each with one parameter beyond its limit.
BEYOND_BOUNDS = {
    "m=262145": _phc("m=262145,t=1,p=1", "WQdie3+cjtyTz8ewjp6SR6lRdssEOd5ER/K+q5khOAM"),
    "t=17": _phc("m=8192,t=17,p=1", "oDe64aJNA/GNsYwzdt8OmN870O57l2smCmXaM2U0qBU"),
    "p=17": _phc("m=8192,t=1,p=17", "yxPvjE9hom7Gn9fMMwNEciHeZw6IWv+QAlsedYTZDbE"),
}
# Hashes with our own parameters, of passwords that the touchscreen cannot type.
BACKTICK = ("old`pass-word", _phc("m=19456,t=2,p=1", "5mVcYv5XKSD2juzLxmJRoZ5BWxVYoP9OhX0e29FNIFs"))
UMLAUT = ("old`pass wörd", _phc("m=19456,t=2,p=1", "TCiGg75a4zH3OK9I5GImtGNXhpaTHTtkErHnrNihRkk"))
# Hash of no known password, which takes long to verify and is verified alone.
SLOW = _phc("m=65536,t=16,p=1", "A" * 43)
