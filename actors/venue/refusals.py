"""Why the venue refuses an order, in its own words."""

from actors.venue.wire import PlaceError

UNKNOWN_REASON = "UNKNOWN_FAILURE_REASON"
UNKNOWN_PREVIEW = "UNKNOWN_PREVIEW_FAILURE_REASON"


class RefusedError(Exception):
    """An order that is not accepted.

    Attributes:
        reason: name in the new-order enum, or UNKNOWN_REASON where only the preview enum has the word.
        preview: name in the preview enum, or UNKNOWN_PREVIEW where the order failed past its preview.
        message: prose for people.
    """

    def __init__(self, reason: str, preview: str, message: str) -> None:
        super().__init__(f"{reason} {preview}: {message}")
        self.reason = reason
        self.preview = preview
        self.message = message

    def wire(self) -> PlaceError:
        """The answer's error part.

        As recorded from the venue: a refusal by the preview stands in `error` and `preview_failure_reason` while
        `new_order_failure_reason` stays unknown; a refusal past the preview the other way round.
        """
        by_preview = self.preview != UNKNOWN_PREVIEW
        return PlaceError(
            error=self.reason,
            message=self.message,
            error_details="",
            preview_failure_reason=self.preview,
            new_order_failure_reason=UNKNOWN_REASON if by_preview else self.reason,
        )

    def preview_name(self) -> str:
        """What a preview lists in `errs`."""
        return self.preview if self.preview != UNKNOWN_PREVIEW else f"PREVIEW_{self.reason}"


def by_preview(reason: str, message: str) -> RefusedError:
    """A reason that both enums know."""
    return RefusedError(reason, f"PREVIEW_{reason}", message)


def only_preview(preview: str, message: str) -> RefusedError:
    """A reason that only the preview enum knows."""
    return RefusedError(UNKNOWN_REASON, preview, message)


def past_preview(reason: str, message: str) -> RefusedError:
    """A reason that is told by the order entry itself."""
    return RefusedError(reason, UNKNOWN_PREVIEW, message)
