"""Checks a parsed tree against the functions there are, and puts names into their canonical case. Evaluates nothing.

QUIRKS of Entra, which only `strict` follows; by default the sane reading holds and a note tells of it:

- Names are case-sensitive; here any case is taken, and the canonical one kept.
- An attribute in the condition of an IIF that is null or empty fails the evaluation; here null equals "".
- Uses that Microsoft tells never to make: IsPresent, IsNull or IsNullOrEmpty as the source of a Switch (it compares
  their texts, True and False); IgnoreFlowIfNullOrEmpty anywhere but outermost, above all in the condition of an IIF
  (here the value passes); Switch on the reference `[manager]` (here its id); `[appRoleAssignments]` outside of the
  functions for it; Item with index 0, which fails at evaluation.

Not copied in either mode: a Switch whose source did not change is not null here, for every mapping is evaluated against
the whole object.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from provisioning.errors import ExpressionError
from provisioning.expressions.parser import ordinal
from provisioning.expressions.signatures import Function, Parameter, Signature
from provisioning.expressions.syntax import Attribute, Call, Comparison, Node, Number, Span, Text, Word
from provisioning.expressions.values import Flow, numeric

FLOWS = {each.value.lower(): each.value for each in Flow}
PRESENCE = {"IsPresent", "IsNull", "IsNullOrEmpty"}
ROLES = "appRoleAssignments"
ROLE_FUNCTIONS = {
    "SingleAppRoleAssignment",
    "AppRoleAssignments",
    "AppRoleAssignmentsComplex",
    "AssertiveAppRoleAssignmentsComplex",
    "Count",
    *PRESENCE,
}
MANAGER = "manager"


@dataclass(slots=True)
class Checker:
    """One walk over one tree. `notes` collects what was accepted and should be heard of."""

    source: str
    library: Mapping[str, Function]
    strict: bool
    notes: list[str] = field(default_factory=list)

    def checked(self, node: Node, parent: str = "", *, result: bool = True, condition: bool = False) -> Node:
        """`result`: the value may become that of the whole expression. `condition`: it is part of an IIF's."""
        match node:
            case Call():
                return self._call(node, parent, result=result, condition=condition)
            case Comparison(left=left, right=right):
                left = self.checked(left, "=", result=False, condition=condition)
                return replace(node, left=left, right=self.checked(right, "=", result=False, condition=condition))
            case Word():
                return self._flow(node, result=result)
            case Attribute(name=name) if name == ROLES and parent not in ROLE_FUNCTIONS:
                self._never(f"[{ROLES}] holds objects; wrap it in SingleAppRoleAssignment", node.span)
        return node

    def error(self, message: str, span: Span) -> ExpressionError:
        return ExpressionError(message, source=self.source, span=span)

    def _call(self, call: Call, parent: str, *, result: bool, condition: bool) -> Call:
        function = self.library[self._name(call)]
        signature = function.signature
        call = replace(call, function=signature.name, arguments=trimmed(call, signature))
        self._count(call, signature)
        self._uses(call, parent, result=result, condition=condition)
        is_iif, count = signature.name == "IIF", len(call.arguments)
        arguments: list[Node | None] = []
        for index, argument in enumerate(call.arguments):
            if argument is None:
                self._may_be_empty(call, signature, index)
                arguments.append(None)
            elif isinstance(argument, Word) and argument.name.lower() not in FLOWS:
                arguments.append(self._word(argument, signature.parameter(index), call))
            else:
                may_result = result and function.may_result(index, count)
                in_condition = condition or (is_iif and index == 0)
                arguments.append(self.checked(argument, call.function, result=may_result, condition=in_condition))
        return replace(call, arguments=tuple(arguments))

    def _name(self, call: Call) -> str:
        if call.function in self.library:
            return call.function
        same = next((each for each in self.library if each.lower() == call.function.lower()), None)
        if same is None:
            raise self.error(unknown(call.function, self.library), call.name_span)
        message = f"{call.function} is spelled {same}"
        if self.strict:
            raise self.error(message, call.name_span)
        self.notes.append(message)
        return same

    def _count(self, call: Call, signature: Signature) -> None:
        count, most = len(call.arguments), signature.most
        if count < signature.least:
            missing = signature.parameter(count).name
            raise self.error(
                f"{call.function} takes {amount(signature)} and has {count}; the next is {missing}", call.span
            )
        if most is not None and count > most:
            extra = call.arguments[most]
            raise self.error(
                f"{call.function} takes {amount(signature)} and has {count}", call.span if extra is None else extra.span
            )
        if call.function == "Switch" and count % 2:
            raise self.error("Switch takes a source, a default, and then pairs of key and value", call.span)
        if call.function == "SelectUniqueValue" and count - call.arguments.count(None) < 2:  # noqa: PLR2004
            raise self.error("SelectUniqueValue takes at least two rules", call.span)

    def _may_be_empty(self, call: Call, signature: Signature, index: int) -> None:
        parameter = signature.parameter(index)
        if parameter.required and not parameter.may_be_empty and not parameter.allow_multiple_occurrences:
            raise self.error(
                f"the {ordinal(index)} argument of {call.function} ({parameter.name}) cannot be left empty", call.span
            )

    def _word(self, word: Word, parameter: Parameter, call: Call) -> Word:
        same = next((each for each in parameter.words if each.lower() == word.name.lower()), None)
        if same is None:
            choices = f" or one of {', '.join(parameter.words)}" if parameter.words else ""
            raise self.error(
                f"{word.name} stands bare as {parameter.name} of {call.function}: expected an attribute "
                f'[{word.name}], a text "{word.name}"{choices}',
                word.span,
            )
        return self._respelled(word, same)

    def _flow(self, word: Word, *, result: bool) -> Word:
        same = FLOWS.get(word.name.lower())
        if same is None:
            raise self.error(
                f'{word.name} is neither an attribute [{word.name}], nor a text "{word.name}", nor a function '
                f"{word.name}(...)",
                word.span,
            )
        if not result:
            raise self.error(f"{same} can only be the result of the expression", word.span)
        return self._respelled(word, same)

    def _respelled(self, word: Word, same: str) -> Word:
        if same != word.name:
            if self.strict:
                raise self.error(f"{word.name} is spelled {same}", word.span)
            self.notes.append(f"{word.name} is spelled {same}")
        return replace(word, name=same)

    def _uses(self, call: Call, parent: str, *, result: bool, condition: bool) -> None:
        """What Microsoft tells never to do."""
        first = call.arguments[0] if call.arguments else None
        match call.function:
            case "SelectUniqueValue" if parent:
                raise self.error("SelectUniqueValue can only be the outermost function", call.name_span)
            case "Switch" if isinstance(first, Call) and first.function.lower() in {each.lower() for each in PRESENCE}:
                self._never(f"Switch compares texts; choose by IIF on {first.function} instead", first.span)
            case "Switch" if first == Attribute(MANAGER):
                self._never(f"Switch cannot choose by the reference [{MANAGER}]", call.span)
            case "IgnoreFlowIfNullOrEmpty" if condition:
                self._never("IgnoreFlowIfNullOrEmpty has no effect in the condition of an IIF", call.name_span)
            case "IgnoreFlowIfNullOrEmpty" if not result:
                self.notes.append("IgnoreFlowIfNullOrEmpty has no effect here: it must be the outermost function")
            case "IgnoreFlowIfNullOrEmpty" if parent:
                self.notes.append("IgnoreFlowIfNullOrEmpty should be the outermost function")
            case "Item" if _is_zero(call.arguments[1]):
                self._never("Item counts from 1; index 0 fails", call.span)

    def _never(self, message: str, span: Span) -> None:
        if self.strict:
            raise self.error(message, span)
        self.notes.append(message)


def trimmed(call: Call, signature: Signature) -> tuple[Node | None, ...]:
    """The arguments without the empty places at the end that the function has no parameters for."""
    arguments = call.arguments
    while arguments and arguments[-1] is None and signature.most is not None and len(arguments) > signature.most:
        arguments = arguments[:-1]
    return arguments


def amount(signature: Signature) -> str:
    least, most = signature.least, signature.most
    if most is None:
        return f"at least {least} argument{'s' if least != 1 else ''}"
    if least == most:
        return f"{least} argument{'s' if least != 1 else ''}" if least else "no arguments"
    return f"{least} to {most} arguments"


def unknown(name: str, library: Mapping[str, Function]) -> str:
    names = {each.lower(): each for each in library}
    near = difflib.get_close_matches(name.lower(), names, n=1)
    return f"there is no function {name}" + (f"; did you mean {names[near[0]]}?" if near else "")


def _is_zero(node: Node | None) -> bool:
    return isinstance(node, Number | Text) and numeric(node.value) == 0
