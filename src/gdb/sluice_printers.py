# SPDX-License-Identifier: Apache-2.0
"""Printers for gdb: what a pointer, a container, a result or an index of sluice holds.

  (gdb) source <prefix>/share/sluice/gdb/sluice_printers.py

or the same line without "(gdb)" in ~/.gdbinit. They read memory and call no function of the
program, so that they also work on a core file. A container whose words contradict each other (it
was not built yet, or a peer wrote nonsense) is shown as damaged. `print /r` shows the words
themselves.
"""

import gdb
import gdb.printing
import gdb.types

NULL_DISTANCE = 1  # offset_ptr::kNull
NONE = 0xFFFFFFFF  # kNoSlot, kNoCell
ADDRESS_MASK = 0xFFFFFFFFFFFFFFFF


def class_of(value):
    """Its type without references, typedefs and qualifiers."""
    return gdb.types.get_basic_type(value.type)


def target_of(pointer):
    """Where an offset_ptr leads: an address, 0 for null, None if the pointer is not in memory."""
    distance = int(pointer["distance_"])
    if distance == NULL_DISTANCE:
        return 0
    if pointer.address is None:
        return None
    return (int(pointer.address) + distance) & ADDRESS_MASK


class OffsetPtr:
    def __init__(self, value):
        self.target = target_of(value)
        self.pointer_type = class_of(value).template_argument(0).pointer()

    def to_string(self):
        if self.target is None:
            return "sluice::offset_ptr, not in memory: where it leads is not known"
        return "sluice::offset_ptr"

    def children(self):
        if self.target is not None:
            yield "get()", gdb.Value(self.target).cast(self.pointer_type)


class Words:
    """What all containers have in common: `ContainerWords`."""

    def __init__(self, words):
        self.size = int(words["size"])
        self.capacity = int(words["capacity"])
        self.data = target_of(words["data"])

    def are_sound(self):
        return self.size <= self.capacity and (bool(self.data) or self.capacity == 0)

    def describe(self, kind):
        if self.data is None:
            return f"sluice::{kind}, not in memory: where its elements are is not known"
        if not self.are_sound():
            return (
                f"sluice::{kind}, damaged: size {self.size}, capacity {self.capacity}, "
                f"data {self.data:#x}"
            )
        return f"sluice::{kind} of size {self.size}, capacity {self.capacity}"

    def elements(self, element_type):
        if self.are_sound():
            first = gdb.Value(self.data or 0).cast(element_type.pointer())
            for i in range(self.size):
                yield (first + i).dereference()


class Vector:
    def __init__(self, value):
        self.words = Words(value["words_"])
        self.element_type = class_of(value).template_argument(0)

    def to_string(self):
        return self.words.describe("Vector")

    def children(self):
        for i, element in enumerate(self.words.elements(self.element_type)):
            yield f"[{i}]", element

    def display_hint(self):
        return "array"


class String:
    def __init__(self, value):
        self.words = Words(value["words_"])

    def to_string(self):
        if not self.words.are_sound():
            return self.words.describe("String")
        first = gdb.Value(self.words.data).cast(gdb.lookup_type("char").pointer())
        return first.lazy_string(length=self.words.size)

    def display_hint(self):
        return "string" if self.words.are_sound() else None


class StaticWords:
    """`StaticVectorWords` or `StaticStringWords`: the size, never beyond the capacity, and what
    is there."""

    def __init__(self, value, places):
        words = value["words_"]
        self.capacity = int(class_of(value).template_argument(places == "elements"))
        self.size = min(int(words["size"]), self.capacity)
        self.places = words[places]


class StaticVector:
    def __init__(self, value):
        self.words = StaticWords(value, "elements")

    def to_string(self):
        return f"sluice::StaticVector of size {self.words.size}, capacity {self.words.capacity}"

    def children(self):
        for i in range(self.words.size):
            yield f"[{i}]", self.words.places[i]

    def display_hint(self):
        return "array"


class StaticString:
    def __init__(self, value):
        self.words = StaticWords(value, "characters")

    def to_string(self):
        return self.words.places.string(errors="replace", length=self.words.size)

    def display_hint(self):
        return "string"


class Map:
    def __init__(self, value):
        entries = value["entries_"]
        self.words = Words(entries["words_"])
        self.entry_type = class_of(entries).template_argument(0)

    def to_string(self):
        return self.words.describe("Map")

    def children(self):
        for i, entry in enumerate(self.words.elements(self.entry_type)):
            yield f"key {i}", entry["first"]
            yield f"value {i}", entry["second"]

    def display_hint(self):
        return "map"


def held_in(variant, index, held_type):
    """What a std::variant of libstdc++ holds; throws for another library's."""
    union = variant["_M_u"]
    if union.address is not None:  # the alternatives of a union all begin where it does
        return union.address.cast(held_type.pointer()).dereference()
    for _ in range(index):  # what a function returned is a copy in gdb
        union = union["_M_rest"]
    storage = union["_M_first"]["_M_storage"]
    if gdb.types.get_basic_type(storage.type) != gdb.types.get_basic_type(held_type):
        raise gdb.error("the variant holds bytes, as in libstdc++ 11")
    return storage


class Result:
    """Knows the variant of libstdc++. With another standard library it shows the variant."""

    def __init__(self, value):
        value_type = class_of(value).template_argument(0)
        if value_type.strip_typedefs().code == gdb.TYPE_CODE_VOID:
            failure = value["failure_"]
            self.failed = int(failure["code"]) != 0
            self.held = failure if self.failed else None
            return
        state = value["state_"]
        try:
            index = int(state["_M_index"])
            self.failed = index != 0
            held_type = gdb.lookup_type("sluice::Failure") if self.failed else value_type
            self.held = held_in(state, index, held_type)
        except gdb.error:
            self.failed = None
            self.held = state

    def to_string(self):
        return "sluice::Result, failed" if self.failed else "sluice::Result"

    def children(self):
        if self.failed:
            yield "code", self.held["code"]
            yield "message", self.held["message"]
        elif self.held is not None:
            yield "value" if self.failed is False else "state_", self.held


class Index:
    def __init__(self, value):
        tag = class_of(value).template_argument(0).name
        self.name = tag.split("::")[-1].removesuffix("Tag")
        self.number = int(value["number_"])

    def to_string(self):
        return f"{self.name} none" if self.number == NONE else f"{self.name} {self.number}"


def printers():
    collection = gdb.printing.RegexpCollectionPrettyPrinter("sluice")
    collection.add_printer("offset_ptr", "^sluice::offset_ptr<.*>$", OffsetPtr)
    collection.add_printer("Vector", "^sluice::Vector<.*>$", Vector)
    collection.add_printer("String", "^sluice::String$", String)
    collection.add_printer("StaticVector", "^sluice::StaticVector<.*>$", StaticVector)
    collection.add_printer("StaticString", "^sluice::StaticString<.*>$", StaticString)
    collection.add_printer("Map", "^sluice::Map<.*>$", Map)
    collection.add_printer("Result", "^sluice::Result<.*>$", Result)
    collection.add_printer("Index", "^sluice::Index<.*>$", Index)
    return collection


gdb.printing.register_pretty_printer(None, printers(), replace=True)
