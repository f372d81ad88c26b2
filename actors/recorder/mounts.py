"""Which file system a folder lies on: LMDB's locks and memory map do not hold over a network (faults F14)."""

from pathlib import Path

MOUNTS = Path("/proc/self/mounts")
NETWORK = frozenset(
    ("nfs", "nfs4", "cifs", "smbfs", "smb3", "9p", "afs", "ceph", "glusterfs", "lustre", "ncpfs", "ocfs2", "gfs2")
)
NETWORK_FUSE = ("fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone", "fuse.glusterfs", "fuse.ceph", "fuse.davfs")


class NetworkMountError(OSError):
    """The store would lie on a network file system."""


def refuse_network(folder: Path, mounts: str | None = None) -> None:
    """Raises NetworkMountError where `folder` lies on a network mount. `mounts`: text of /proc/self/mounts."""
    kind = file_system(folder, MOUNTS.read_text() if mounts is None else mounts)
    if kind in NETWORK or kind in NETWORK_FUSE:
        raise NetworkMountError(f"{folder} lies on {kind}, a network file system: keep the state on a local disk")


def file_system(folder: Path, mounts: str) -> str:
    """The type of the file system that `folder` lies on: of the mounts above it the deepest, of equals the last."""
    resolved = folder.resolve()
    best, kind = -1, ""
    for line in mounts.splitlines():
        _, point, found, *_ = line.split(" ")
        place = Path(point.replace("\\040", " "))
        if resolved.is_relative_to(place) and len(place.parts) >= best:
            best, kind = len(place.parts), found
    return kind
