"""What can be wrong in a store: one record for each thing that is."""

from dataclasses import dataclass
from enum import StrEnum


class Wrong(StrEnum):
    """What is not as it was made."""

    NO_MANIFEST = "the manifest is missing"
    MANIFEST = "the manifest was edited or damaged"
    PLACE = "another artifact lies in this one's place"
    KEY = "the key is not that of its parameters and inputs"
    MISSING_FILE = "a file is missing"
    OTHER_BYTES = "a file has other bytes"
    UNREADABLE = "a file cannot be read"
    EXTRA = "something lies there that the manifest does not know"
    LINK = "a symbolic link lies there"
    TABLE = "a table is not what its stage writes"
    TALLY = "a tally is not what its table or its inputs say"
    GONE = "it is no longer in the store"
    INPUT_GONE = "an input is no longer in the store"
    INPUT_OTHER = "an input has other bytes than those that were used"
    CIRCLE = "it was made from itself"
    RECORD = "a record was edited or damaged"
    REFERENCE = "a record names what is not there"
    CHECKPOINT = "a checkpoint is damaged"


_AGAIN = "Remove {directory} from the store; the next run makes it again. Or bring it back from a copy."
_UNKNOWN = "Do not use it: nobody can say what it was made from. "
_BACK = "Bring it back from a copy, or remove it: then what it says is forgotten, and nothing else."
_REMEDIES = {
    Wrong.PLACE: "Bring it back to its place, or remove {directory} from the store; the next run makes it again.",
    Wrong.KEY: _UNKNOWN + _AGAIN,
    Wrong.CIRCLE: _UNKNOWN + _AGAIN,
    Wrong.UNREADABLE: "Look after the disk and who may read there. If the file is lost: " + _AGAIN,
    Wrong.EXTRA: "Remove it, if nobody needs it: nothing reads it.",
    Wrong.LINK: "Put in its place what it leads to: links in a store are not followed.",
    Wrong.GONE: "A run with the same configuration makes it again; or bring it back from a copy.",
    Wrong.INPUT_GONE: "A run with the same configuration makes it again; or bring it back from a copy.",
    Wrong.INPUT_OTHER: "Its input was made anew since, with other bytes. Remove {directory} from the store; the next run makes it again.",
    Wrong.RECORD: _BACK,
    Wrong.REFERENCE: _BACK,
    Wrong.CHECKPOINT: "Nothing to do: training goes on from an older one, or begins anew. It can be removed.",
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong."""

    wrong: Wrong
    place: str  # path below the store: of the file, else of the directory
    artifact: str = ""  # train/0123456789ab; empty when it is none
    file: str = ""  # its name in the artifact; empty when it is no single file
    got: str = ""
    expected: str = ""

    @property
    def remedy(self) -> str:
        """What a person can do."""
        directory = self.place.removesuffix(self.file).rstrip("/") if self.artifact else self.place
        return _REMEDIES.get(self.wrong, _AGAIN).format(directory=directory)
