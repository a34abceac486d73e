"""YAML from people one does not know: plain data alone, and no more of it than was written."""

from __future__ import annotations

from typing import Any

#: A recipe, a list of templates or the options of a cluster are not longer, characters.
LONGEST = 2**20
#: Nodes that a text may have once its aliases are followed: ten lines can stand for a billion.
MOST_NODES = 200_000
#: No number of ours is larger; Python refuses to write out very long ones.
_LARGEST_INT = 2**63


def strict_yaml(text: str) -> tuple[Any, Any]:
    """Read YAML: its tree of nodes, which know their lines, and the data.

    Nothing but mappings, lists, texts, numbers and dates is made of it.

    Raises
    ------
    yaml.YAMLError
        If it is no YAML, or holds a tag that would make something else.
    ValueError
        If it is too long, stands for too much, is nested too deeply, or holds
        an impossible number or date.
    """
    import yaml

    if len(text) > LONGEST:
        raise ValueError(f"it is longer than {LONGEST} characters")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is not None:
            _count(node, {})
        content = yaml.safe_load(text)
        _check(content, set())
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (OverflowError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"it holds an impossible value ({type(error).__name__})") from None
    return node, content


def _count(node: Any, known: dict[int, int]) -> int:
    """How many nodes a tree has with its aliases followed; one that holds itself counts once."""
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = 1
    total = 1
    if not isinstance(node.value, str):
        for child in node.value:
            for part in child if isinstance(child, tuple) else (child,):
                total += _count(part, known)
    if total > MOST_NODES:
        raise ValueError(f"its aliases stand for more than {MOST_NODES} entries")
    known[id(node)] = total
    return total


def _check(content: Any, seen: set[int]) -> None:
    if isinstance(content, int) and abs(content) >= _LARGEST_INT:
        raise ValueError("it holds a number of more than 19 digits")
    if isinstance(content, dict | list) and id(content) not in seen:
        seen.add(id(content))
        for value in [*content, *content.values()] if isinstance(content, dict) else content:
            _check(value, seen)
