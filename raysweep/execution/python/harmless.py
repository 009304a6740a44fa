"""Allow-list of instructions, names and modules for programs that may share a process; screen.py applies it.

A few names are forbidden although their form is harmless (`FORBIDDEN_NAMES`).
"""

from __future__ import annotations

import builtins
import dis
import importlib
import sys


def _split(text: str) -> list[str]:
    return text.split()


ALLOWED_MODULES = frozenset(
    _split("""
    math cmath re typing collections collections.abc itertools functools heapq bisect string operator
    fractions numbers hashlib datetime __future__
    """)
)
_ALLOWED_IN_MODULE = {
    "typing": """AbstractSet Annotated Any AnyStr Callable ClassVar Collection Container Counter DefaultDict Deque Dict
        Final FrozenSet Generator Generic Hashable ItemsView Iterable Iterator KeysView List Literal
        Mapping MutableMapping MutableSequence MutableSet NamedTuple NewType NoReturn Optional
        OrderedDict Protocol Reversible Self Sequence Set Sized SupportsAbs SupportsFloat SupportsIndex
        SupportsInt Text Tuple Type TypeAlias TypeVar Union ValuesView cast""",
    "collections": "ChainMap Counter OrderedDict abc defaultdict deque namedtuple",
    "functools": "cache cmp_to_key lru_cache partial reduce",
    "string": "ascii_letters ascii_lowercase ascii_uppercase capwords digits hexdigits octdigits printable punctuation"
    " whitespace",
    "datetime": "MAXYEAR MINYEAR date datetime time timedelta timezone",
    "fractions": "Fraction",
    "numbers": "Complex Integral Number Rational Real",
    "re": """A ASCII DOTALL I IGNORECASE M MULTILINE Match Pattern S VERBOSE X compile error escape findall finditer
        fullmatch match search split sub subn""",
}
"""The allowed names of modules whose other names keep state or give access to it."""
_FORBIDDEN_IN_MODULE = {
    name
    for module, public in _ALLOWED_IN_MODULE.items()
    for name in dir(importlib.import_module(module))
    if len(name) > 1
    and not name.startswith("_")
    and name not in {*ALLOWED_MODULES, *" ".join(_ALLOWED_IN_MODULE.values()).split()}
}
_MUTABLE_GLOBALS = {
    name
    for module in ALLOWED_MODULES - {"hashlib"}  # importing it would cost time in every fork
    for name, value in vars(importlib.import_module(module)).items()
    if isinstance(value, list | dict | set) and not name.startswith("_")
}
ALLOWED_TEST_MODULES = ALLOWED_MODULES | {"random", "numpy"}
"""Tests are trusted to use these two as well; candidates that share a process can't reach them."""
ALLOWED_BUILTINS = frozenset(
    _split("""
    abs all any ascii bin bool bytearray bytes callable chr classmethod complex dict divmod enumerate filter
    float frozenset hash hex id int isinstance issubclass iter len list map max min next object oct ord pow
    print property range repr reversed round set slice sorted staticmethod str sum super tuple type zip hasattr
    True False None NotImplemented Ellipsis __name__ __debug__
    """)
) | {
    name
    for name in dir(builtins)
    if isinstance(getattr(builtins, name), type) and name.endswith(("Error", "Exception", "StopIteration"))
}
ALL_BUILTINS = frozenset(dir(builtins))
ALLOWED_DUNDERS = frozenset(
    f"__{name}__"
    for name in _split("""
    init repr str eq ne lt le gt ge hash len iter next getitem setitem delitem contains add radd iadd sub rsub
    isub mul rmul imul truediv rtruediv floordiv rfloordiv mod rmod pow rpow and or xor neg pos abs invert call
    bool int float index enter exit name module qualname doc annotations classcell
    static_attributes firstlineno annotate annotate_func conditional_annotations classdictcell classdict
    future
    """)
)
FORBIDDEN_NAMES = (
    _MUTABLE_GLOBALS
    | _FORBIDDEN_IN_MODULE
    | frozenset(
        _split("""
    attrgetter get_origin get_args NamedTupleMeta methodcaller wraps update_wrapper cached_property
    singledispatch singledispatchmethod total_ordering get_type_hints ForwardRef Formatter Template register mro
    purge Scanner final no_type_check no_type_check_decorator dataclass_transform override overload
    runtime_checkable ABCMeta dispatch_table algorithms_available algorithms_guaranteed with_traceback
    file_digest format_map seterr seterrcall setbufsize set_printoptions
    """)
    )
    | (
        frozenset(sys.stdlib_module_names)
        - {"copy", "string", "re", "math", "code", "select", "stat", "queue"}
        - ALLOWED_MODULES
    )
)
FORBIDDEN_PREFIXES = ("_", "tb_", "f_", "gi_", "cr_", "ag_", "co_", "func_", "im_")
_OPCODE_NAMES = frozenset(
    _split("""
    CACHE POP_TOP PUSH_NULL NOP UNARY_POSITIVE UNARY_NEGATIVE UNARY_NOT UNARY_INVERT BINARY_SUBSCR BINARY_SLICE
    STORE_SLICE GET_LEN GET_ITER GET_YIELD_FROM_ITER RETURN_VALUE RETURN_CONST YIELD_VALUE RETURN_GENERATOR SEND
    PUSH_EXC_INFO CHECK_EXC_MATCH POP_EXCEPT RERAISE WITH_EXCEPT_START BEFORE_WITH END_FOR END_SEND
    LOAD_ASSERTION_ERROR LOAD_BUILD_CLASS LIST_TO_TUPLE STORE_SUBSCR DELETE_SUBSCR STORE_NAME DELETE_NAME
    UNPACK_SEQUENCE UNPACK_EX FOR_ITER STORE_ATTR DELETE_ATTR STORE_GLOBAL DELETE_GLOBAL SWAP COPY LOAD_CONST
    LOAD_NAME BUILD_TUPLE BUILD_LIST BUILD_SET BUILD_MAP LOAD_ATTR LOAD_METHOD COMPARE_OP IMPORT_NAME
    IMPORT_FROM JUMP_FORWARD JUMP_BACKWARD JUMP_BACKWARD_NO_INTERRUPT JUMP_IF_FALSE_OR_POP JUMP_IF_TRUE_OR_POP
    POP_JUMP_FORWARD_IF_FALSE POP_JUMP_FORWARD_IF_TRUE POP_JUMP_FORWARD_IF_NONE POP_JUMP_FORWARD_IF_NOT_NONE
    POP_JUMP_BACKWARD_IF_FALSE POP_JUMP_BACKWARD_IF_TRUE POP_JUMP_BACKWARD_IF_NONE POP_JUMP_BACKWARD_IF_NOT_NONE
    POP_JUMP_IF_FALSE POP_JUMP_IF_TRUE POP_JUMP_IF_NONE POP_JUMP_IF_NOT_NONE LOAD_GLOBAL IS_OP CONTAINS_OP
    BINARY_OP LOAD_FAST STORE_FAST DELETE_FAST LOAD_FAST_CHECK LOAD_FAST_AND_CLEAR RAISE_VARARGS CALL KW_NAMES
    PRECALL CALL_FUNCTION_EX CALL_INTRINSIC_1 LOAD_SUPER_ATTR MAKE_FUNCTION BUILD_SLICE MAKE_CELL LOAD_CLOSURE
    LOAD_DEREF STORE_DEREF DELETE_DEREF LOAD_CLASSDEREF LOAD_FROM_DICT_OR_DEREF LOAD_FROM_DICT_OR_GLOBALS
    COPY_FREE_VARS RESUME CLEANUP_THROW
    EXTENDED_ARG LIST_APPEND SET_ADD MAP_ADD LIST_EXTEND SET_UPDATE DICT_UPDATE DICT_MERGE FORMAT_VALUE
    BUILD_STRING BUILD_CONST_KEY_MAP SETUP_ANNOTATIONS LOAD_LOCALS LOAD_FAST_LOAD_FAST STORE_FAST_LOAD_FAST
    STORE_FAST_STORE_FAST TO_BOOL CALL_KW FORMAT_SIMPLE FORMAT_WITH_SPEC CONVERT_VALUE SET_FUNCTION_ATTRIBUTE
    LOAD_SMALL_INT LOAD_FAST_BORROW LOAD_FAST_BORROW_LOAD_FAST_BORROW NOT_TAKEN POP_ITER LOAD_COMMON_CONSTANT
    BUILD_INTERPOLATION LOAD_SPECIAL
    """)
)
ALLOWED_OPCODES = frozenset(dis.opmap[name] for name in _OPCODE_NAMES if name in dis.opmap) | {0}
ALLOWED_INTRINSICS = frozenset({3, 5, 6})
"""Arguments of CALL_INTRINSIC_1: StopIteration, unary plus, list to tuple; ``import *`` is another one."""
ATTRIBUTE_OPCODES = frozenset(_split("LOAD_ATTR LOAD_METHOD LOAD_SUPER_ATTR STORE_ATTR DELETE_ATTR IMPORT_FROM"))
VARIABLE_OPCODES = frozenset(
    _split("""
    LOAD_NAME LOAD_GLOBAL STORE_NAME STORE_GLOBAL DELETE_NAME DELETE_GLOBAL LOAD_FROM_DICT_OR_DEREF LOAD_CLASSDEREF
    LOAD_FROM_DICT_OR_GLOBALS LOAD_FAST STORE_FAST DELETE_FAST LOAD_FAST_CHECK LOAD_DEREF STORE_DEREF MAKE_CELL
    LOAD_CLOSURE
    """)
)
SET_ATTRIBUTE = frozenset(dis.opmap[name] for name in ("STORE_ATTR", "DELETE_ATTR"))
IMPORT = frozenset({dis.opmap["IMPORT_NAME"]})
BUILD_CLASS = dis.opmap["LOAD_BUILD_CLASS"]
COROUTINE_FLAGS = 0x80 | 0x100 | 0x200
CALL_INTRINSIC = dis.opmap.get("CALL_INTRINSIC_1", -1)
