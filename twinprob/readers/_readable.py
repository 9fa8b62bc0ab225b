"""A database's table that cannot be read is refused in one sentence with its name and the remedy."""

import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what pandas and gzip say of a broken table into one `ValueError`."""
    from pandas.errors import EmptyDataError, ParserError

    try:
        yield
    except EmptyDataError:
        raise ValueError(
            f"Table `{path.name}` is empty, where row 1 must hold its columns' names: export it again."
        ) from None
    except (EOFError, OSError, zlib.error):
        raise ValueError(f"Table `{path.name}` is cut short or damaged: copy or export it again.") from None
    except UnicodeDecodeError:
        raise ValueError(f"Table `{path.name}` is not UTF-8 text: export it again as UTF-8.") from None
    except ParserError as error:
        raise ValueError(f"Table `{path.name}` is no table ({error}): export it again.") from None


def require_columns(path: Path, head: Collection[str], known: Collection[str]) -> None:
    """Refuse a table whose first row names none of its columns, or not the item of its rows; all in lower case."""
    found = {str(name).lower() for name in head} & set(known)
    missing = [name for name in ("itemid",) if name in known and name not in found]
    if not found or missing:
        raise ValueError(
            f"Table `{path.name}` has no column {' or '.join(missing or sorted(known)[:4])}: row 1 must name the "
            "columns as the database does."
        )
