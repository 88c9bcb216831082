"""The contract of `ports.store.Store`, whole."""

from .appending import AppendContract
from .deleting import DeletionContract
from .documents import CompareAndSetContract, DocumentContract
from .histories import HistoryContract
from .inboxes import InboxContract, PeopleContract
from .keeping import GenerationContract, RetentionContract
from .memberships import MarksContract, MembershipContract
from .pages import PageContract
from .scanning import ExpiryContract, ScanContract
from .searching import SearchContract
from .targets import ErasureContract, TargetContract
from .together import TogetherContract


class StoreContract(
    AppendContract,
    TargetContract,
    ErasureContract,
    DeletionContract,
    PageContract,
    HistoryContract,
    SearchContract,
    MembershipContract,
    MarksContract,
    InboxContract,
    PeopleContract,
    RetentionContract,
    GenerationContract,
    TogetherContract,
    DocumentContract,
    CompareAndSetContract,
    ScanContract,
    ExpiryContract,
):
    """Every sentence of the port. Subclass it, say how a store is opened, and run pytest."""
