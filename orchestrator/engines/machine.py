"""What a Linux machine says of itself in its own files, read into data. Pure functions."""

from __future__ import annotations

# What the wheels of the locks are compiled for at least (x86-64-v2, https://gitlab.com/x86-psABIs/x86-64-ABI), in the
# words of /proc/cpuinfo.
NEEDED_FLAGS = frozenset({"cx16", "popcnt", "sse4_1", "sse4_2", "ssse3"})
FAST_FLAGS = frozenset({"avx2", "fma"})  # numpy and torch have faster code for these
SUBIDS = 65_536  # ids that a user needs in /etc/subuid for the users of one image


def processor_flags(cpuinfo: str) -> frozenset[str]:
    """Return the instruction sets in the text of /proc/cpuinfo; empty where it names none."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            return frozenset(value.split())
    return frozenset()


def subordinate_ids(subuid: str, user: str, uid: int) -> int:
    """Return how many ids the text of /etc/subuid or /etc/subgid gives to a user.

    Parameters
    ----------
    subuid : str
        Lines of the form user:first:count; the user may be a name or a number.
    user : str
        Name of the user.
    uid : int
        Number of the user.
    """
    lines = (line.split(":") for line in subuid.splitlines() if line.count(":") == 2)  # noqa: PLR2004 - three fields
    return sum(int(count) for owner, _, count in lines if owner in {user, str(uid)} and count.isdecimal())
