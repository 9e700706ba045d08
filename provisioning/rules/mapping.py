"""Turns a source object into the values that its record should have. Pure: knows no record, no link, no clock.

A `Mapper` is made once for an object mapping and a dictionary, and used for every object.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from msgspec import Struct

from provisioning.errors import ExpressionError, ObjectError
from provisioning.expressions import Flow, Tenant
from provisioning.model import Column, SourceObject
from provisioning.rules.attributes import MANAGER, Facts, reader
from provisioning.rules.columns import FORMED, column_texts
from provisioning.schema.mappings import AttributeMapping, ObjectMapping
from provisioning.schema.names import IS_SOFT_DELETED, OBJECT_FILTER

Columns = Mapping[str, Column]

USER_TABLE = "sys_user"
ACTIVE = "active"
LOCKED = "locked_out"


class Reference(Struct, frozen=True):
    """A reference by value: the record of `table` whose `column` holds it, by default the display column."""

    table: str
    value: str
    column: str = ""

    @property
    def place(self) -> str:
        """Where it is looked up, as it is remembered: a table, or a table and a column."""
        return f"{self.table}.{self.column}" if self.column else self.table

    @classmethod
    def at(cls, place: str, value: str) -> Reference:
        table, _, column = place.partition(".")
        return cls(table, value, column)


class Key(Struct, frozen=True):
    """What identifies an object: one column and its value, or several for a composite key."""

    parts: tuple[tuple[str, str], ...]
    ranked: bool = False

    @property
    def text(self) -> str:
        """How a log names the key. The columns stand in it where a value alone could belong to several keys."""
        if len(self.parts) == 1 and not self.ranked:
            return self.parts[0][1]
        return ", ".join(f"{column}={value}" for column, value in self.parts)


@dataclass(frozen=True, slots=True)
class Desired:
    """What the record should hold.

    `keys` are the matching values in their precedence. `values` are plain, `references` need a lookup (several for a
    list column), `fallbacks` are looked up where one does not exist, `people` name a source user. `creation_only` names
    the columns that are written at creation only, `while_empty` those that are written while the column is empty.
    `cleared` columns lose their value in an update. `unique` holds the candidates of SelectUniqueValue. `absent` are
    required columns without a value. `ignored` says why the whole object is to be skipped (IgnoreObjectFlow).
    """

    keys: tuple[Key, ...]
    values: dict[str, str] = field(default_factory=dict)
    references: dict[str, tuple[Reference, ...]] = field(default_factory=dict)
    fallbacks: dict[str, Reference] = field(default_factory=dict)
    people: dict[str, str] = field(default_factory=dict)
    creation_only: frozenset[str] = frozenset()
    while_empty: frozenset[str] = frozenset()
    cleared: frozenset[str] = frozenset()
    unique: dict[str, tuple[str, ...]] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    ignored: str | None = None

    @property
    def match_value(self) -> str:
        return self.keys[0].text

    def for_update(self, record: Mapping[str, str]) -> Desired:
        """Without what is written at creation only, or only while the column is empty."""
        omitted = self.creation_only | {name for name in self.while_empty if record.get(name)}
        return replace(
            self,
            values={name: value for name, value in self.values.items() if name not in omitted},
            references={name: value for name, value in self.references.items() if name not in omitted},
            people={name: value for name, value in self.people.items() if name not in omitted},
            unique={name: value for name, value in self.unique.items() if name not in omitted},
        )


@dataclass(frozen=True, slots=True)
class Leaving:
    """What the record of an object that is out of scope should hold; nothing where no mapping reads IsSoftDeleted."""

    values: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class _Draft:
    values: dict[str, str] = field(default_factory=dict)
    references: dict[str, tuple[Reference, ...]] = field(default_factory=dict)
    fallbacks: dict[str, Reference] = field(default_factory=dict)
    people: dict[str, str] = field(default_factory=dict)
    defaulted: set[str] = field(default_factory=set)
    cleared: set[str] = field(default_factory=set)
    unique: dict[str, tuple[str, ...]] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    ignored: str | None = None


@dataclass(frozen=True, slots=True)
class _Rule:
    """One attribute mapping, prepared for its column."""

    attribute: AttributeMapping
    read: Callable[[Facts, datetime], Any]
    column: Column
    plain: bool
    """Neither a reference nor a type whose texts have a form of their own."""
    person: bool
    key: bool


class Mapper:
    """Evaluates every mapping against the full source object, never against a delta alone."""

    def __init__(self, mapping: ObjectMapping, columns: Columns, tenant: Tenant | None = None) -> None:
        self.mapping = mapping
        self._tenant = tenant
        mapped = [each for each in mapping.attributes if each.target != OBJECT_FILTER]
        self._missing = [each.target for each in mapped if each.target not in columns]
        self._rules = [self._rule(each, columns[each.target]) for each in mapped if each.target in columns]
        self._filters = [self._source(each) for each in mapping.attributes if each.target == OBJECT_FILTER]
        self._creation_only = frozenset(each.target for each in mapped if each.flow_type == "ObjectAddOnly")
        self._while_empty = frozenset(
            each.target for each in mapped if each.source is None or each.flow_type == "AttributeAddOnly"
        )

    def evaluate(self, facts: Facts, now: datetime) -> Desired:
        """Null is never sent (Entra's outbound rule), unless the mapping clears; a value longer than a column is cut
        as ServiceNow would cut it, with a warning, except for a matching attribute, where a cut value would be somebody
        else's key. Raises `ObjectError`.
        """
        if self._missing:
            raise ObjectError(
                "SchemaAttributeNotFound",
                f"the mapping writes {self.mapping.table}.{self._missing[0]}, which the instance does not have",
                "correct the target attribute, or create the column",
            )
        draft = _Draft()
        for source in self._filters:
            if source(facts, now) is Flow.IGNORE_OBJECT:
                draft.ignored = OBJECT_FILTER
        for rule in self._rules:
            self._apply(rule, facts, now, draft)
        return Desired(
            keys=() if draft.ignored else self._keys(draft),
            values=draft.values,
            references=draft.references,
            fallbacks=draft.fallbacks,
            people=draft.people,
            creation_only=self._creation_only.union(draft.defaulted) if draft.defaulted else self._creation_only,
            while_empty=self._while_empty,
            cleared=frozenset(draft.cleared),
            unique=draft.unique,
            absent=tuple(draft.absent),
            warnings=tuple(draft.warnings),
            ignored=f"the mapping of {draft.ignored} says IgnoreObjectFlow" if draft.ignored else None,
        )

    def on_leaving(self, facts: Facts | None, now: datetime) -> Leaving:
        """What is written to the record of an object that goes out of scope: the mappings that read IsSoftDeleted.

        Of an object that is gone (`facts` is None) nothing else is known, so only mappings that read nothing else are
        evaluated, and `active`, which has to come out as false. Raises `ObjectError` when it cannot be told whether the
        account stays active; any other column that fails is left alone, with a warning: a leaver is not kept in by it.
        """
        values: dict[str, str] = {}
        warnings: list[str] = []
        for rule in self._rules:
            reads, decides = rule.attribute.attributes, rule.attribute.target == ACTIVE
            unknown = facts is None and len(reads) > 1
            if rule.column.reference is not None or (not decides and (IS_SOFT_DELETED not in reads or unknown)):
                continue
            try:
                value = rule.read(GONE if facts is None else facts, now)
                texts = () if isinstance(value, Flow) else column_texts(value, rule.column)
            except ObjectError as error:
                if rule.attribute.target == ACTIVE:
                    raise
                warnings.append(str(error))
                continue
            text, limit = ",".join(texts), rule.column.max_length
            if decides and IS_SOFT_DELETED not in reads:
                text = text if text == "false" else ""  # the mapping itself, such as accountEnabled, says so
            elif decides and unknown and text != "false":
                raise ObjectError(
                    "ExpressionEvaluationFailed",
                    f"{ACTIVE} also reads {', '.join(sorted(reads - {IS_SOFT_DELETED}))}, which nobody knows any more "
                    "of an object that is deleted, and without them it is not false: the account is left as it is",
                    "let the mapping give false whenever IsSoftDeleted is True; until then deactivate it by hand",
                )
            if text and limit and len(text) > limit and rule.key:
                warnings.append(f"{rule.attribute.target} would have {len(text)} characters and holds {limit}")
            elif text:
                values[rule.attribute.target] = text[: limit or None]
        return Leaving(values, tuple(warnings))

    def _rule(self, attribute: AttributeMapping, column: Column) -> _Rule:
        return _Rule(
            attribute,
            self._source(attribute),
            column,
            plain=column.type not in FORMED,
            person=column.reference == USER_TABLE and MANAGER in attribute.attributes,
            key=attribute.matching_priority > 0,
        )

    def _source(self, attribute: AttributeMapping) -> Callable[[Facts, datetime], Any]:
        expression = attribute.source
        if expression is None:
            return lambda _, __: attribute.default
        if expression.direct is not None:
            read = reader(expression.direct)
            return lambda facts, _: read(facts)
        if expression.constant is not None:
            constant = expression.constant
            return lambda _, __: constant
        tenant = self._tenant

        def evaluated(facts: Facts, now: datetime) -> Any:
            try:
                if expression.unique:
                    return tuple(expression.candidates(facts, now=now, tenant=tenant))
                return expression.evaluate(facts, now=now, tenant=tenant)
            except ExpressionError as error:
                raise _failed(attribute, error) from error

        return evaluated

    def _apply(self, rule: _Rule, facts: Facts, now: datetime, draft: _Draft) -> None:
        value = rule.read(facts, now)
        attribute, column = rule.attribute, rule.column
        target = attribute.target
        if value.__class__ is str and rule.plain:
            text = value.strip()
            texts: tuple[str, ...] = (text,)
        elif isinstance(value, Flow):
            if value is Flow.IGNORE_OBJECT:
                draft.ignored = target
            return
        elif attribute.source is not None and attribute.source.unique:
            self._offer(rule, [column_texts(each, column) for each in value], draft)
            return
        else:
            texts = column_texts(value, column)
            text = ",".join(texts)
        if rule.key:
            draft.keys[target] = text
        if not text:
            texts = self._without_value(rule, draft)
            text = ",".join(texts)
            if not text:
                return
        if rule.person:
            draft.people[target] = text
        elif column.reference is not None:
            lookup = attribute.lookup
            draft.references[target] = tuple(Reference(column.reference, each, lookup.column) for each in texts)
            if lookup.policy == "default":
                draft.fallbacks[target] = Reference(column.reference, lookup.default, lookup.column)
        elif len(text) > column.max_length > 0:
            draft.values[target] = self._cut(rule, text, draft)
        else:
            draft.values[target] = text

    def _without_value(self, rule: _Rule, draft: _Draft) -> tuple[str, ...]:
        """The default, which stands in for null at creation only; or that the column is to be cleared."""
        attribute = rule.attribute
        if attribute.clears:
            draft.cleared.add(attribute.target)
        if attribute.default:
            draft.defaulted.add(attribute.target)
            return column_texts(attribute.default, rule.column)
        if attribute.required:
            draft.absent.append(attribute.target)
        return ()

    def _offer(self, rule: _Rule, candidates: list[tuple[str, ...]], draft: _Draft) -> None:
        """A candidate that would be cut could become equal to somebody else's value."""
        limit = rule.column.max_length
        texts = dict.fromkeys(",".join(texts) for texts in candidates)
        fitting = tuple(text for text in texts if text and (len(text) <= limit or not limit))
        if fitting:
            draft.unique[rule.attribute.target] = fitting
        elif rule.attribute.required:
            draft.absent.append(rule.attribute.target)

    def _cut(self, rule: _Rule, text: str, draft: _Draft) -> str:
        target, limit = rule.attribute.target, rule.column.max_length
        if rule.key:
            raise ObjectError(
                "InvalidAttributeValue",
                f"{target} has {len(text)} characters; ServiceNow keeps {limit} and would cut the rest without an "
                "error, so that the key could become somebody else's",
                f"map {target} to a value of at most {limit} characters",
            )
        draft.warnings.append(f"{target} holds {limit} characters; the value has {len(text)} and is cut")
        return text[:limit]

    def _keys(self, draft: _Draft) -> tuple[Key, ...]:
        """The matching attributes' own values; a default would be everybody's key. Without a part there is none."""
        keys: list[Key] = []
        for rank, attributes in enumerate(self.mapping.matching):
            parts = tuple((each.target, draft.keys.get(each.target, "")) for each in attributes)
            if all(value for _, value in parts):
                keys.append(Key(parts, ranked=rank > 0))
        if not keys:
            names = " or ".join(" with ".join(each.target for each in key) for key in self.mapping.matching)
            raise ObjectError(
                "EntryJoiningPropertyValueIsMissing",
                f"the matching attribute {names} has no value for this object",
                "give the source attribute a value, or match on another attribute",
            )
        return tuple(keys)


GONE = Facts(SourceObject("user", "", {}), soft_deleted=True)


def _failed(attribute: AttributeMapping, error: ExpressionError) -> ObjectError:
    """The error of a redacted mapping names no value."""
    told = "its value is redacted, so that no more is told here" if attribute.redacted else error.message
    return ObjectError(
        "ExpressionEvaluationFailed",
        f"the expression for {attribute.target} could not be evaluated: {told}",
        "correct the expression or the source attribute; `expression` on the command line tries it on this object",
    )
