"""Dashboards against the models of Grafana's foundation SDK: read by it and written again, each comes back whole.

What is gone on the way back is a key that Grafana's schema does not have; what a model holds must be of the type it names.
"""

import copy
import enum
import json
import sys
import typing

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

# Not in the schema, and read by Grafana all the same.
READ_ALL_THE_SAME = {
    "titleFormat": "the Prometheus datasource takes an annotation's text from it",
    "id": "null: the database gives one",
}


def gone(ours, theirs, path=""):
    """What was not understood, and so did not come back."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            if key in theirs:
                yield from gone(value, theirs[key], f"{path}.{key}")
            elif key not in READ_ALL_THE_SAME or (key == "id" and value is not None):
                yield f"{path}.{key}: Grafana's schema has no such key here"
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, (one, other) in enumerate(zip(ours, theirs)):
            yield from gone(one, other, f"{path}[{index}]")
    elif ours != theirs:
        yield f"{path}: {json.dumps(ours)} came back as {json.dumps(theirs)}"


def mistyped(value, hint, path):
    """What is of another type than its model says."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is typing.Any or value is None:
        return
    if origin is typing.Union or type(hint).__name__ == "UnionType":
        # What comes furthest with a value is what was meant.
        tries = [list(mistyped(value, one, path)) for one in inner if one is not type(None)]
        yield from min(tries, key=lambda found: (bool(found) and found[0].startswith(f"{path}:"), len(found)))
    elif origin is list:
        if not isinstance(value, list):
            yield f"{path}: {value!r} is no list"
        else:
            for index, one in enumerate(value):
                yield from mistyped(one, inner[0], f"{path}[{index}]")
    elif origin is dict:
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is no map"
        else:
            for key, one in value.items():
                yield from mistyped(one, inner[1], f"{path}.{key}")
    elif origin is typing.Literal:
        if value not in inner:
            yield f"{path}: {value!r} is none of {', '.join(map(repr, inner))}"
    elif isinstance(hint, type) and issubclass(hint, enum.Enum):
        if value not in [one.value for one in hint]:
            yield f"{path}: {value!r} is none of {', '.join(repr(one.value) for one in hint)}"
    elif hint in (str, bool, int, float):
        fits = isinstance(value, (int, float) if hint is float else hint)
        if not fits or (isinstance(value, bool) and hint is not bool):
            yield f"{path}: {value!r} is no {hint.__name__}"
    elif hasattr(value, "to_json"):
        if isinstance(value, hint):
            yield from of_model(value, path)
        else:
            yield f"{path}: {type(value).__name__} is no {hint.__name__}"


def of_model(model, path):
    """A model's own fields, by the types it names, and what it holds in turn."""
    hints = typing.get_type_hints(type(model))
    for name, value in vars(model).items():
        yield from mistyped(value, hints.get(name, object), f"{path}.{name}")


def against(ours):
    """All that is found in a dashboard."""
    read = Dashboard.from_json(ours)
    theirs = json.loads(JSONEncoder(sort_keys=True).encode(read))
    return [*gone(ours, theirs), *of_model(read, "")]


def main(files):
    """Tells all that is found; whether anything was looked at is told, too."""
    register_default_plugins()
    found = places = 0
    for file in files:
        with open(file, encoding="utf-8") as text:
            ours = json.load(text)
        places += sum(1 for _ in leaves(ours))
        for what in against(ours):
            print(f"{file}: {what.lstrip('.')}")
            found += 1
        # Broken in two places, it must be found wanting in two more: else nothing was held against anything.
        broken = copy.deepcopy(ours)
        broken["panels"][0]["options"]["noSuchKey"] = 1
        broken["panels"][0]["gridPos"]["w"] = "wide"
        if len(against(broken)) != len(against(ours)) + 2:
            sys.exit(f"{file}: the SDK does not find what is broken on purpose; it is another one than this was written for")
    print(f"{len(files)} dashboards, {places} values held against the SDK: {found or 'nothing'} found")
    return 1 if found or not places else 0


def leaves(value):
    """Every value that is no list and no map."""
    if isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from leaves(inner)
    else:
        yield value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
