"""The state of a training as one `.keras` file: network, optimiser and what else the loop must remember.

Shared with n2v-tf.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contract.files import atomic
from tensorflow_start import keras

if TYPE_CHECKING:
    from collections.abc import Mapping


NETWORK = "network"  # the part that is a compiled Keras model
_RECORD = "calm.json"  # a member of the archive that Keras does not look at
_TEXTS = ("config.json", "metadata.json")  # members that hold what is another in every process
_OBJECT = re.compile(rb'("shared_object_id": )(\d+)')
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip file can hold: equal states are equal files


class KerasStore:
    """Keeps the states of `contract.training.run_steps` where the network is a Keras model.

    The part "network" is a compiled `keras.Model`, saved with its optimiser; the states of all others fit JSON.
    """

    file_name = "state.keras"

    def save(self, path: Path, record: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        """Write a state; it appears at once and whole."""
        others = {name: part.state_dict() for name, part in parts.items() if name != NETWORK}
        write_network(path, parts[NETWORK], {**record, "parts": others})

    def record(self, path: Path) -> dict[str, Any]:
        """Return what the loop remembered."""
        record = _read_record(path)
        del record["parts"]
        return record

    def restore(self, path: Path, parts: Mapping[str, Any]) -> None:
        """Put a saved state back."""
        saved, network = keras.models.load_model(path), parts[NETWORK]
        network.set_weights(saved.get_weights())
        for variable, value in zip(network.optimizer.variables, saved.optimizer.variables, strict=True):
            variable.assign(value)
        for name, state in _read_record(path)["parts"].items():
            parts[name].load_state_dict(state)


def write_network(path: Path, network: keras.Model, record: Mapping[str, Any] | None = None) -> None:
    """Save a model, with its optimiser where it has one, so that equal models are equal files.

    Parameters
    ----------
    path : Path
        The `.keras` file to make.
    network : keras.Model
        What to save.
    record : mapping, optional
        JSON kept in the same file.
    """
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".keras-") as made:
        saved = Path(made) / "network.keras"
        network.save(saved)
        with atomic(path) as part, zipfile.ZipFile(saved) as source, zipfile.ZipFile(part, "w") as archive:
            for name in sorted(source.namelist()):
                with source.open(name) as member, archive.open(zipfile.ZipInfo(name, _EPOCH), "w") as copy:
                    copy.write(_timeless(member.read())) if name in _TEXTS else shutil.copyfileobj(member, copy)
            if record is not None:
                archive.writestr(zipfile.ZipInfo(_RECORD, _EPOCH), json.dumps(record, sort_keys=True))


def _read_record(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        record: dict[str, Any] = json.loads(archive.read(_RECORD))
    return record


def _timeless(text: bytes) -> bytes:
    """Leave the date out, and number objects in order of appearance instead of by their address in memory."""
    found: dict[bytes, bytes] = {}
    text = _OBJECT.sub(lambda match: match[1] + found.setdefault(match[2], b"%d" % len(found)), text)
    fields = json.loads(text)
    fields.pop("date_saved", None)
    return json.dumps(fields, sort_keys=True).encode()
